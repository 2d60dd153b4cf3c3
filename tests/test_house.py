"""The rules of the house: who may import whom, how many lines there are, who may ask for a kind.

The table of rooms as a test. It reads what stands in the files, imports in functions included.
"""

import ast
import sys
from pathlib import Path

import pytest

import adacompress_ref

PACKAGE = Path(adacompress_ref.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

# Lines, with docstrings and blank ones. A budget is met by fewer ideas, never by denser lines.
# CONTRIBUTING says how one is raised: by a line there that says what was bought.
CORE_LINES, REFERENCE_LINES, PACKAGE_LINES = 950, 3960, 12111

MAY_IMPORT = {  # besides itself
    "core": set(),
    "storage": set(),
    "survival": {"core"},
    "imaging": {"core", "storage"},
    "views": {"core", "survival", "storage", "imaging"},
    "agents.py": {"core", "survival", "storage", "views"},
    "tables": {"core", "survival", "storage", "imaging", "views", "agents.py"},
}
REFERENCE = {*MAY_IMPORT}  # what one reads, vendors, trains and evaluates with
MAY_IMPORT |= {  # what operators run
    "services": {"core", "storage", "imaging"},
    "running": {*REFERENCE, "services"},
    "server": {"core", "storage", "services", "running"},
    "report": {*REFERENCE, "running"},
    "keras_file.py": {"core", "agents.py", "imaging"},
    "gymnasium.py": {"core", "tables"},
}
MAY_IMPORT_ALL = {"cli", "vendor.py", "__init__.py", "__main__.py"}
NUMPY_ALONE = {"core", "survival"}


def imports(path, in_functions=True):
    """Each import of a file: its line, the dots before it, the module, the names taken from it."""
    tree = ast.parse(path.read_text("utf-8"), str(path))
    for node in ast.walk(tree) if in_functions else tree.body:
        if isinstance(node, ast.ImportFrom):
            yield node.lineno, node.level, node.module or "", [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, 0, alias.name, []) for alias in node.names)


def imported_files(path, package, in_functions=True):
    """(line, path below the package) of each file of the package that a file imports."""
    for line, level, module, names in imports(path, in_functions):
        if not level:
            continue
        base = path.parents[level - 1].joinpath(*module.split(".")) if module else None
        targets = [base] if base else [path.parents[level - 1] / name for name in names]
        for target in targets:
            file, folder = target.with_suffix(".py"), target / "__init__.py"
            found = next((each for each in (file, folder) if each.exists()), None)
            found = found or target.parent / "__init__.py"  # a name that stands in it
            yield line, found.relative_to(package)
        # from .room import file
        for name in names if base and base.is_dir() else ():
            if (base / f"{name}.py").exists():
                yield line, (base / f"{name}.py").relative_to(package)


def against_the_layers(package):
    """Each import that its room may not make, in words."""
    faults = []
    for path in sorted(package.rglob("*.py")):
        here = path.relative_to(package).parts[0]
        # a folder that is not known is an agent's room
        may = MAY_IMPORT.get(here, MAY_IMPORT["views"] | {"views"})
        for line, target in imported_files(path, package):
            there = target.parts[0]
            if here not in MAY_IMPORT_ALL and there not in may | {here, "__init__.py"}:
                faults.append(f"{path.relative_to(package)}:{line} -> {there}")
    return sorted({*faults})


def circles(package):
    """Files of one room that import each other, in words.

    The door of a room, `__init__`, may open its files where it is asked for them.
    """
    graph = {}
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package)
        others = imported_files(path, package, in_functions=path.name != "__init__.py")
        targets = {target for _, target in others}
        graph[name] = {each for each in targets if each.parent == name.parent} - {name}
    faults = []

    def visit(trail):
        for following in sorted(graph.get(trail[-1], ())):
            if following in trail:
                faults.append(" -> ".join(map(str, (*trail[trail.index(following) :], following))))
            elif following not in done:
                visit((*trail, following))
        done.add(trail[-1])

    done = set()
    for name in graph:
        visit((name,))
    return faults


@pytest.fixture
def made_up(tmp_path):
    """A function that writes a package of these files and texts."""

    def write(**files):
        for name, text in files.items():
            path = tmp_path.joinpath(*name.split("__")).with_suffix(".py")
            path.parent.mkdir(exist_ok=True)
            (path.parent / "__init__.py").touch()
            path.write_text(text)
        return tmp_path

    return write


def test_no_room_imports_what_it_may_not():
    assert against_the_layers(PACKAGE) == []


def test_the_table_knows_every_room_and_no_others():
    rooms = {path.relative_to(PACKAGE).parts[0] for path in FILES}
    assert rooms == {*MAY_IMPORT, *MAY_IMPORT_ALL}


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("core__agent", "from ..survival import agent", "core/agent.py:1 -> survival"),
        ("core__agent", "from ..survival.agent import A", "core/agent.py:1 -> survival"),
        ("views__x", "def f():\n    from .. import survival, tables", "views/x.py:2 -> tables"),
        ("views__x", "from ..imaging import codec\nfrom ..core import agent", None),
        ("mine__agent", "from ..views import heat\nfrom ..survival import drift", None),
        ("mine__agent", "from ..services import onnx", "mine/agent.py:1 -> services"),
        ("mine__agent", "from .. import __version__\nfrom . import other", None),
        ("cli__x", "from ..running import pilot", None),
    ],
)
def test_the_check_of_layers_sees_them(made_up, name, text, found):
    rooms = dict.fromkeys(("survival__agent", "tables__table", "services__onnx", "mine__other"), "")
    package = made_up(**rooms, **{name: text})
    assert against_the_layers(package) == ([found] if found else [])


def test_files_of_a_room_import_each_other_in_one_direction():
    assert circles(PACKAGE) == []


def test_the_check_of_circles_sees_them(made_up):
    package = made_up(
        core__a="from . import b", core__b="from .c import f", core__c="from .a import g"
    )
    assert circles(package) == ["core/a.py -> core/b.py -> core/c.py -> core/a.py"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_names_its_own_package_by_relative_imports_and_unpickles_nothing(path):
    allowed = {*sys.stdlib_module_names, "numpy"}
    for _, level, module, _ in imports(path):
        top = module.partition(".")[0]
        assert level or top != PACKAGE.name, module
        assert top not in {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve"}
        if path.relative_to(PACKAGE).parts[0] in NUMPY_ALONE:
            assert level or top in allowed, module
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            assert ast.unparse(node.value) == "False"
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"np.load", "numpy.load"}:
            assert any(keyword.arg == "allow_pickle" for keyword in node.keywords)


@pytest.mark.parametrize(
    ("rooms", "budget"),
    [({"core"}, CORE_LINES), (REFERENCE, REFERENCE_LINES), (None, PACKAGE_LINES)],
    ids=["core", "reference", "package"],
)
def test_a_budget_of_lines_is_kept(rooms, budget):
    counts = {path: len(path.read_text("utf-8").splitlines()) for path in FILES}
    own = {path for path in FILES if rooms is None or path.relative_to(PACKAGE).parts[0] in rooms}
    assert 0 < sum(counts[path] for path in own) <= budget


# What only the room that owns it may ask: of which kind an agent is, which rule its config has
KINDS = {"DQNAgent", "SurvivalAgent", "Estimator", "Surprise", "Config", "SurvivalConfig"}
RULES = {"retrain_rule", "flush", "target", "hold_other_outputs"}
OWNERS = {"core": RULES}


def switches(path, room):
    """Tests of a kind that a file makes, in words."""
    rules = RULES - OWNERS.get(room, set())
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        is_test = isinstance(node, (ast.If, ast.IfExp))
        test = node.test if is_test else node
        if not is_test and not isinstance(node, (ast.Compare, ast.Call)):
            continue
        parts = list(ast.walk(test))
        names = {part.id for part in parts if isinstance(part, ast.Name)}
        asked = {part.attr for part in parts if isinstance(part, ast.Attribute)}
        texts = [part for part in parts if isinstance(getattr(part, "value", None), str)]
        of_kind = names & {"isinstance", "issubclass", "type"} and names & KINDS
        of_rule = not isinstance(node, ast.Call) and asked & rules
        of_preset = isinstance(node, ast.Compare) and "preset" in asked and texts
        if of_kind or of_rule or of_preset:
            yield ast.unparse(test)


def test_no_kind_of_agent_and_no_rule_is_asked_for_outside_its_room():
    found = {
        f"{path.relative_to(PACKAGE)}: {text}"
        for path in FILES
        for text in switches(path, path.relative_to(PACKAGE).parts[0])
    }
    assert found == set()


@pytest.mark.parametrize(
    "text",
    [
        "isinstance(agent, DQNAgent)",
        "isinstance(agent, (int, SurvivalAgent))",
        "if type(self.config) is Config: pass",
        "config.retrain_rule == 'threshold'",
        "x = 1 if agent.config.flush else 2",
        "ours = config.preset in ('tuned', 'ladder')",
    ],
)
def test_the_check_of_kinds_sees_them(made_up, text):
    assert list(switches(made_up(running__x=text) / "running" / "x.py", "running"))
