"""`adacompress compress`: what it reads, prints and writes."""

import csv
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adacompress_ref.cli import compress
from adacompress_ref.cli.common import write_output
from adacompress_ref.imaging import codec
from adacompress_ref.imaging import read as images
from adacompress_ref.running.pilot import AdaCompress
from adacompress_ref.storage import artifacts

RECORD = ["image", "output", "encoding", "quality", "bytes", "reference_bytes"]
RECORD += ["size_ratio", "error"]


def records(out):
    return [json.loads(line) for line in out.splitlines()]


def test_compress_prints_one_object_a_line(adacompress, few):
    status, out, err = adacompress("compress", few, "-o", "out", "--json")
    lines = records(out)
    assert (status, len(lines)) == (0, 3)
    for line in lines:
        assert list(line) == RECORD
        written = Path(line["output"]).read_bytes()
        assert len(written) == line["bytes"]
        assert codec.decode(written).size == images.read(line["image"]).picture.size
        assert line["encoding"] == f"jpeg-q{line['quality']}"
        assert line["size_ratio"] == round(line["bytes"] / line["reference_bytes"], 6)
        assert line["error"] is None
    total, reference = (sum(line[name] for line in lines) for name in ("bytes", "reference_bytes"))
    assert (
        f"3 of 3 images, {total:,} bytes: in sum {100 * total / reference:.1f}% of quality 75"
        in err
    )
    assert err.endswith("; in out\n")
    assert "; in " not in adacompress("compress", few, "--noaction")[2]


def test_any_number_of_workers_gives_the_same(adacompress, few):
    found = []
    (few / "broken.jpg").write_bytes(b"no image")
    for workers in (1, 2, 9):
        status, out, err = adacompress(
            "compress", few, "-o", workers, "--workers", workers, "--json"
        )
        lines = records(out)
        for line in lines:
            line["output"] = line["output"] and Path(line["output"]).read_bytes()
        found.append((status, lines, err.count("\n"), sorted(os.listdir(str(workers)))))
    assert found[0] == found[1] == found[2]
    assert (found[0][0], len(found[0][1])) == (1, 4)
    assert [bool(line["error"]) for line in found[0][1]] == [True, False, False, False]


@pytest.mark.parametrize("preset", ["paper", "tuned"])
def test_compress_without_a_reference(adacompress, few, preset):
    options = ("--preset", preset, "--json")
    _, out, _ = adacompress("compress", few, "-o", "a", *options)
    with_it = records(out)
    status, out, err = adacompress("compress", few, "-o", "b", "--no-reference", *options)
    assert (status, "quality 75" in err, "of the files as they were" in err) == (0, False, True)
    for line, other in zip(records(out), with_it, strict=True):
        assert list(line) == RECORD
        assert (line["reference_bytes"], line["size_ratio"]) == (None, None)
        assert Path(line["output"]).read_bytes() == Path(other["output"]).read_bytes()
        assert (line["bytes"], line["encoding"]) == (other["bytes"], other["encoding"])
    status, out, _ = adacompress("compress", few / "clock.jpg", "--no-reference", "-o", "c")
    assert (status, "clock.jpg" in out) == (0, True)


def test_compress_for_people(adacompress, few):
    status, out, err = adacompress("compress", few / "clock.jpg")
    assert status == 0
    assert len(out.splitlines()) == 2
    assert "clock.jpg" in out
    assert "Traceback" not in err
    assert [path.name for path in (few.parent / "compressed").iterdir()] == ["clock.jpg"]


def test_the_others_are_done(adacompress, few, tmp_path):
    (few / "broken.jpg").write_bytes((few / "clock.jpg").read_bytes()[:900])
    (few / "empty.jpg").touch()
    status, out, err = adacompress("compress", few, "missing.jpg", "-o", "out", "--json")
    lines = {line["image"].rsplit("/", 1)[-1]: line for line in records(out)}
    assert status == 1
    for name in ("broken.jpg", "empty.jpg", "missing.jpg"):
        assert name in lines[name]["error"]
        assert set(lines[name]) == set(RECORD)
        assert all(lines[name][field] is None for field in RECORD[1:-1])
    assert len(list((tmp_path / "out").iterdir())) == 3
    assert "3 of 6 images" in err
    assert err.count("\n") == 5  # the progress too


def test_a_folder_without_images_is_one_failed_input(adacompress, few, tmp_path):
    (tmp_path / "bare").mkdir()
    status, out, err = adacompress("compress", "bare", few, "-o", "out", "--json")
    first, *others = records(out)
    assert (status, first["image"], list(first)) == (1, "bare", RECORD)
    assert "bare: no image in this folder" in first["error"]
    assert first["error"] in err
    assert [line["error"] for line in others] == [None] * 3
    status, _, err = adacompress("explain", "bare", few, "-o", "h.png")
    assert (status, "3 of 4 images explained" in err) == (1, True)
    assert adacompress("compress", "bare", "bare", "-o", "out")[0] == 2


@pytest.mark.parametrize("command", ["compress --noaction", "explain -o h.png"])
def test_no_message_is_glued_to_the_bar(adacompress, few, monkeypatch, command):
    (few / "camera.jpg").write_bytes(b"no image")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr("adacompress_ref.cli.progress._BAR_EVERY", 0)
    status, _, err = adacompress(*command.split(), few, "--json")
    before, _, after = err.partition("adacompress: ")
    assert (status, before[-3:], "] " in after) == (1, "\x1b[K", True)


def test_an_output_that_cannot_be_written_is_named(adacompress, few, tmp_path):
    (tmp_path / "out" / "clock.jpg").mkdir(parents=True)
    status, out, _ = adacompress("compress", few, "-o", "out", "--json")
    errors = [line["error"] for line in records(out)]
    assert (status, errors[0], errors[2]) == (1, None, None)
    assert errors[1].startswith("out/clock.jpg: ")
    assert errors[1].endswith("; mend that, or name another folder with -o")


def test_another_file_is_replaced_only_when_asked(adacompress, few, tmp_path):
    compress = ("compress", few, "-o", "out", "--json")
    assert adacompress(*compress)[0] == 0
    written = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    (tmp_path / "out" / "clock.jpg").write_bytes(b"mine")
    status, out, _ = adacompress(*compress)
    errors = [line["error"] for line in records(out)]
    assert (status, errors[0], errors[2]) == (1, None, None)
    assert "out/clock.jpg: exists and differs" in errors[1]
    assert (tmp_path / "out" / "clock.jpg").read_bytes() == b"mine"
    assert adacompress(*compress, "--overwrite")[0] == 0
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == written
    assert adacompress(*compress)[0] == 0  # the same bytes are there


def outputs(out):
    return [line["output"] for line in records(out)]


def tree(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("names", [("y/2023/a.jpg", "y/2024/a.jpg"), ("a.gif", "a.jpg"),
                                   ("a.jpg", "A.JPG"), ("é.png", "e\u0301.jpg")])  # fmt: skip
def test_names_that_collide_are_refused_before_work_starts(adacompress, few, tmp_path, names):
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.open(few / "clock.jpg").save(tmp_path / name)
    before = tree(tmp_path)
    for order in (names, names[::-1]):
        for options in ([], ["--overwrite"]):
            status, out, err = adacompress("compress", *order, "-o", "out", *options)
            assert (status, out, err.count("\n")) == (2, "", 1)
            assert "--keep-tree" in err and all(name in err for name in names)
    assert tree(tmp_path) == before


def test_kept_trees_collide_by_case_alone(adacompress, few, tmp_path):
    names = ["y/2023/a.jpg", "y/2024/a.jpg", "a.gif", "a.jpg", "../up/a.jpg", "a.jpeg"]
    found = []
    (tmp_path / "here").mkdir()
    os.chdir(tmp_path / "here")
    for number, name in enumerate(names):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.open(few / "clock.jpg").resize((200 + 9 * number, 99)).save(name)
    for order in (names, names[::-1]):
        command = ("compress", *order, "-o", "out", "--keep-tree", "--json", "--overwrite")
        status, out, _ = adacompress(*command)
        assert status == 0
        lines = {line["image"]: Path(line["output"]) for line in records(out)}
        found.append({name: (path, path.read_bytes()) for name, path in lines.items()})
    assert found[0] == found[1]
    assert found[0]["y/2023/a.jpg"][0] == Path("out/y/2023/a.jpg")
    assert found[0]["a.gif"][0] == Path("out/a.gif.jpg")
    assert found[0]["../up/a.jpg"][0] == Path("out/up/a.jpg")
    Image.open(few / "clock.jpg").save("A.jpg")
    assert adacompress("compress", *names, "A.jpg", "-o", "new", "--keep-tree")[0] == 2


def test_only_endings_of_images_are_replaced(adacompress, few, tmp_path):
    names = ["snap.20240101", "snap.20240102", "b.png", "c.JPEG", "d.v2.jfif", "e", "f.txt"]
    wanted = ["snap.20240101.jpg", "snap.20240102.jpg", "b.jpg", "c.jpg", "d.v2.jpg", "e.jpg"]
    for name in names:
        Image.open(few / "clock.jpg").save(tmp_path / name, "PNG")
    found = {}
    for order in (names, names[::-1]):
        for name in order:  # one run each
            status, out, _ = adacompress("compress", name, "-o", "out", "--json")
            assert status == 0
            found.setdefault(name, set()).update(outputs(out))
    assert list(found.values()) == [{f"out/{name}"} for name in (*wanted, "f.txt.jpg")]


def test_into_its_own_folder_again_and_again(adacompress, few, tmp_path):
    (tmp_path / "d").mkdir()
    Image.open(few / "clock.jpg").save(tmp_path / "d" / "a.png")
    assert adacompress("compress", "d", "-o", "d")[0] == 0
    first = tree(tmp_path / "d")
    assert {path.name for path in first} == {"a.png", "a.jpg"}
    for _ in range(2):
        status, _, err = adacompress("compress", "d", "-o", "d")
        assert (status, "d/a.png" in err, "d/a.jpg" in err) == (2, True, True)
    assert tree(tmp_path / "d") == first


def test_an_image_named_twice_is_one(adacompress, few):
    status, out, err = adacompress("compress", few, few / "clock.jpg", "-o", "out", "--json")
    assert (status, len(records(out)), "3 of 3 images" in err) == (0, 3, True)


def test_rows_show_outputs_and_dates_are_kept(adacompress, few, tmp_path):
    os.utime(few / "clock.jpg", ns=(10**18, 10**18 + 7 * 10**9))
    status, out, _ = adacompress("compress", few / "clock.jpg", "-o", "out", "--preserve")
    assert (status, out.splitlines()[1].endswith(f"  {Path('out') / 'clock.jpg'}")) == (0, True)
    assert (tmp_path / "out" / "clock.jpg").stat().st_mtime_ns == 10**18 + 7 * 10**9
    adacompress("compress", few / "chelsea.jpg", "-o", "out")
    assert (tmp_path / "out" / "chelsea.jpg").stat().st_mtime_ns > 10**18 + 10**10


def test_folders_keep_their_shape(adacompress, few, tmp_path):
    (few / "sub").mkdir()
    shutil.copy(few / "clock.jpg", few / "sub" / "deep.jpg")
    assert adacompress("compress", few, "--dest", "out")[0] == 0  # jpegoptim's name of -o
    assert (tmp_path / "out" / "sub" / "deep.jpg").is_file()


@pytest.mark.parametrize("options", [[], ["--overwrite"]])
@pytest.mark.parametrize("output", ["few", "few/../few", "."])
def test_an_input_is_never_overwritten(adacompress, few, tmp_path, output, options):
    if output == ".":
        shutil.copytree(few, tmp_path, dirs_exist_ok=True)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.jpg")}
    images_named = sorted(tmp_path.glob("*.jpg")) or [few]
    status, _, err = adacompress("compress", *images_named, "-o", output, *options)
    assert status == 2
    assert "would overwrite an input" in err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.jpg")} == before


def test_exif_is_copied_only_when_asked(adacompress, tmp_path):
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    Image.effect_noise((80, 60), 50).convert("RGB").save("x.jpg", exif=exif, quality=95)
    for options, maker in (([], None), (["--keep-exif"], "Maker")):
        assert adacompress("compress", "x.jpg", "-o", "out", "--overwrite", *options)[0] == 0
        assert Image.open("out/x.jpg").getexif().get(0x010F) == maker


def odd_images():
    grey = Image.fromarray((np.arange(64 * 64).reshape(64, 64) * 16 % 65536).astype(np.uint16))
    yield "one.png", Image.new("RGB", (1, 1), "red")
    yield "line.png", Image.new("L", (300, 1), 7)
    yield "rgba.png", Image.new("RGBA", (40, 30), (255, 0, 0, 128))
    yield "cmyk.jpg", Image.new("CMYK", (40, 30), (9, 99, 0, 0))
    yield "deep.png", grey
    yield "palette.gif", Image.new("P", (40, 30), 3)
    yield "bits.tiff", Image.new("1", (40, 30), 1)
    yield "web.webp", Image.new("RGB", (40, 30), "blue")


def test_odd_images(adacompress, tmp_path):
    sizes = {}
    (tmp_path / "odd").mkdir()
    for name, image in odd_images():
        image.save(tmp_path / "odd" / name)
        sizes[name] = image.size
    status, out, err = adacompress("compress", "odd", "-o", "out", "--json")
    lines = records(out)
    assert status == 0, err
    assert len(lines) == len(sizes)
    for line in lines:
        with Image.open(line["output"]) as image:
            assert image.format == "JPEG"
            assert image.size == sizes[line["image"].rsplit("/", 1)[-1]]


def test_pixel_limit(adacompress, few):
    status, out, _ = adacompress("compress", few / "clock.jpg", "--pixel-limit", 99, "--json")
    assert status == 1
    assert "too many pixels" in records(out)[0]["error"]


def test_a_webp_payload_is_not_called_jpg(adacompress, few, tmp_path):
    label = ("label", "--images", few, "--service", "squeezenet", "-o", "t.npz", "--workers", 1)
    assert adacompress(*label, "--encodings", "webp-64-q5,webp-64-q50")[0] == 0
    train = ("train", "--table", "t.npz", "-o", "webp.npz", "--steps", 5, "--preset", "paper")
    assert adacompress(*train)[0] == 0
    status, out, _ = adacompress("compress", few / "clock.jpg", "--agent", "webp.npz", "--json")
    assert status == 0
    assert records(out)[0]["output"].endswith(".webp")


def test_the_agent_named_rules_where_no_preset_is_given(adacompress, few):
    agent = artifacts.find("agent-authors.npz")
    command = ("compress", few, "--json", "-o")
    _, by_preset, _ = adacompress(*command, "out", "--preset", "authors")
    for options in ([], ["--preset", "authors"]):
        _, out, _ = adacompress(*command, "out", "--agent", agent, *options)
        assert out == by_preset


# Words of jpegoptim and cjpegli --------------------------------------------------------------


def test_noaction_writes_nothing(adacompress, few, tmp_path):
    (few / "broken.jpg").write_bytes(b"no image")
    before = sorted(tmp_path.rglob("*"))
    for options in ([], ["-o", "out"], ["-o", "-"]):
        status, out, err = adacompress("compress", few, "--noaction", "--json", *options)
        assert sorted(tmp_path.rglob("*")) == before
        lines = records(out)
        assert (status, [line["output"] for line in lines]) == (1, [None] * 4)
        assert "3 of 4 images" in err
    _, out, _ = adacompress("compress", few, "--json")
    assert [{**line, "output": None} for line in records(out)] == lines
    (tmp_path / "compressed" / "clock.jpg").write_bytes(b"mine")
    assert adacompress("compress", few / "clock.jpg", "--noaction")[0] == 0


def test_csv_says_what_json_says(adacompress, few, monkeypatch):
    (few / "broken,\n.jpg").write_bytes(b"no image")
    _, out, _ = adacompress("compress", few, "--json")
    wanted = [{k: "" if v is None else str(v) for k, v in line.items()} for line in records(out)]
    status, out, err = adacompress("compress", few, "--csv")
    assert (status, out.splitlines()[0], "3 of 4 images" in err) == (1, ",".join(RECORD), True)
    assert list(csv.DictReader(out.splitlines(keepends=True))) == wanted
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    _, out, _ = adacompress("compress", few, "--csv")
    assert out.count("\n") == 5  # on a terminal, a name moves no cursor


def test_quiet_leaves_errors_and_what_is_asked_for(adacompress, few):
    error = "adacompress: no.jpg: No such file or directory; check path and permissions\n"
    compress = ("compress", few, "no.jpg", "--quiet", "--webp")
    assert adacompress(*compress) == (1, "", error)
    _, out, err = adacompress(*compress, "--json")
    assert (len(records(out)), err) == (4, error)
    status, out, err = adacompress(*compress, "--totals")
    assert (status, out, err.startswith(error + "3 of 4 images")) == (1, "", True)
    assert err.count("\n") == 2


ODD = os.fsdecode(b"odd \xff<script>.jpg ")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\0"])
def test_files_from(adacompress, piped, few, tmp_path, end):
    (few / "clock.jpg").rename(few / ODD)
    shutil.copy(few / "chelsea.jpg", tmp_path / "-")
    names = [f"few/{ODD}", "few/microaneurysms.jpg", "-", "x" * 300]
    listed = os.fsencode(end.join([*names, ""]))
    (tmp_path / "list").write_bytes(listed)
    both = [
        piped(listed, "compress", "--files-from", source, "few/chelsea.jpg", "--json", "-o", "out")
        for source in ("-", "list")
    ]
    assert both[0] == both[1]
    lines = records(both[0][1].decode())
    assert [line["image"] for line in lines] == ["few/chelsea.jpg", *names]
    assert [bool(line["error"]) for line in lines] == [False] * 4 + [True]


@pytest.mark.parametrize(
    ("listed", "match"),
    [
        (b"", "names no image"),
        (None, "closed"),
        (b"\xff\xd8\0\xff", "not text"),
        *(("photos/wanted.jpg\n".encode(name), "UTF-16") for name in ("utf-16-le", "utf-16-be")),
        *(("photos/wanted.jpg".encode(name), "UTF-16") for name in ("utf-16-le", "utf-16-be")),
        *(("写真/画像1.jpg\r\n".encode(name) * 2, "UTF-16") for name in ("utf-16-le", "utf-16-be")),
        (b"\xff\xfe\0\xd8", "cannot be read as a list"),
    ],
)
def test_a_list_that_is_none(piped, listed, match, monkeypatch):
    monkeypatch.setattr(os, "walk", lambda *_, **__: pytest.fail("a folder is walked"))
    status, out, err = piped(listed, "compress", "--files-from", "-")
    assert (status, out, err.count("\n"), match in err) == (2, b"", 1, True)


@pytest.mark.parametrize("coding", ["utf-8", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_byte_order_mark_says_how_a_list_is_coded(piped, few, coding, end):
    (few / "clock.jpg").rename(few / "ührig.jpg")
    data = end.join(["\ufefffew/ührig.jpg", "few/chelsea.jpg", ""]).encode(coding)
    status, out, _ = piped(data, "compress", "--files-from", "-", "--json", "-o", "out")
    names = [line["image"] for line in records(out.decode())]
    assert (status, names) == (0, ["few/ührig.jpg", "few/chelsea.jpg"])


def test_names_that_are_no_text_come_back_byte_for_byte(piped, few):
    (few / "clock.jpg").rename(few / ODD)
    status, out, _ = piped(b"", "compress", "few", "--csv", "-o", "out")
    assert status == 0
    assert b"few/odd \xff<script>.jpg ," not in out  # not in a folder: its ending is none
    named = os.fsencode(few / ODD)
    status, out, _ = piped(b"", "compress", few / ODD, "--csv", "-o", "out")
    assert (status, out.splitlines()[1].startswith(named + b",out/odd \xff<script>.jpg ")) == (
        0,
        True,
    )


def test_a_link_to_itself_ends_no_other_image(adacompress, few, tmp_path):
    (few / "loop.jpg").symlink_to("loop.jpg")
    (few / "folder").symlink_to(few)
    (tmp_path / "own.jpg").symlink_to("own.jpg")
    for inputs in ([few], [few / "clock.jpg", "own.jpg"]):
        status, out, _ = adacompress("compress", *inputs, "-o", "out", "--json")
        errors = [line["error"] for line in records(out)]
        assert (status, len([error for error in errors if error])) == (1, 1)
    assert adacompress("explain", few, "own.jpg", "-o", "heat.png")[0] == 1


def test_from_standard_input_to_standard_output(piped, adacompress, few, tmp_path):
    adacompress("compress", few / "clock.jpg", "-o", "out")
    wanted = (tmp_path / "out" / "clock.jpg").read_bytes()
    photo = (few / "clock.jpg").read_bytes()
    for name, *options in (["-"], ["few/clock.jpg", "-o", "-"], ["-", "--dest", "-"]):
        status, out, err = piped(photo, "compress", name, *options)
        assert (status, out, err.count("\n")) == (0, wanted, 1)
        assert "1 of 1 images" in err
    assert piped(photo, "compress", "-", "--quiet") == (0, wanted, "")
    assert not (tmp_path / "compressed").exists()
    status, out, _ = piped(photo, "compress", few / "chelsea.jpg", "-", "-o", "out", "--json")
    first, other = records(out.decode())
    assert (status, first["image"], first["output"]) == (0, "stdin", "out/stdin.jpg")
    assert (tmp_path / "out" / "stdin.jpg").read_bytes() == wanted
    assert other["output"] == "out/chelsea.jpg"


@pytest.mark.parametrize(
    ("data", "options", "status", "match"),
    [
        (b"", [], 1, "stdin: empty file"),
        (b"no image", [], 1, "stdin: cannot be read"),
        (b"x" * 101, [], 1, "stdin: larger than"),
        (None, [], 2, "standard input: closed"),
    ],
)
def test_nothing_comes_out(piped, few, monkeypatch, data, options, status, match):
    monkeypatch.setattr(images, "FILE_LIMIT", 100)
    ended, out, err = piped(data, "compress", "-", *options)
    assert (ended, out, err.count("\n"), match in err) == (status, b"", 1, True)


def test_a_bomb_is_no_more_welcome_than_in_a_file(piped, few):
    photo = (few / "clock.jpg").read_bytes()
    status, out, err = piped(photo, "compress", "-", "--pixel-limit", "99")
    assert (status, out, "stdin: too many pixels" in err) == (1, b"", True)


def test_no_picture_goes_to_a_terminal(adacompress, few, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    for command in (["compress"], ["explain"]):
        status, out, err = adacompress(*command, few / "clock.jpg", "-o", "-")
        assert (status, out, err.count("\n"), "a terminal" in err) == (2, "", 1, True)


def test_standard_input_is_read_in_part_and_where_ctrl_c_comes(adacompress, few, monkeypatch):
    threads = []

    def standard_input(most):
        threads.append(threading.current_thread())
        return (few / "clock.jpg").read_bytes()[:most] if most <= images.FILE_LIMIT + 1 else b""

    monkeypatch.setattr(compress, "standard_input", standard_input)
    assert adacompress("compress", "-", few, "-o", "out", "--workers", 2)[0] == 0
    assert threads == [threading.main_thread()]


def test_output_that_is_taken_in_parts(monkeypatch):
    class Narrow(io.BytesIO):
        def write(self, data):
            return super().write(data[:100])

    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(Narrow()))
    write_output("-", bytes(range(250)))
    assert sys.stdout.buffer.getvalue() == bytes(range(250))


@pytest.mark.parametrize(
    ("line", "status", "size"),
    [
        ("cat clock.jpg | adacompress compress - | wc -c", "0 0 0", None),  # all
        ("adacompress compress clock.jpg -o - <&- | head -c 10 | wc -c", "0 0 0", 10),
        ("adacompress compress clock.jpg -o - | true | wc -c", "141 0 0", 0),
        ("adacompress compress clock.jpg -o - >&- | cat | wc -c", "2 0 0", 0),
    ],
)
def test_pipelines(few, line, status, size):
    line = line.replace("adacompress", f"{shlex.quote(sys.executable)} -m adacompress_ref")
    line = line.replace("clock.jpg", shlex.quote(str(few / "clock.jpg")))
    line += "; echo ${PIPESTATUS[@]}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    if size is None:
        size = len(AdaCompress.load().choose(few / "clock.jpg").payload)
    assert done.stdout.split() == [str(size), *status.split()]
    assert done.stderr.count("\n") <= 1
