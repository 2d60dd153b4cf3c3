import json
import re
from pathlib import Path

from setuptools import setup
from setuptools.command import bdist_wheel as wheel

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "adacompress_ref/__init__.py").read_text())[1]
MODELS = json.loads((HERE / "weights/manifest.json").read_text("utf-8"))["files"]
LICENCES = sorted({"MIT", *(model["licence"] for model in MODELS.values())})
# Where the project lives stands in one place; without it, links are left out rather than wrong.
HOME = re.search(r"(?m)^repository-code: *(\S+)", (HERE / "CITATION.cff").read_text("utf-8"))

ROOMS = (
    *("core", "storage", "survival", "imaging", "views", "tables"),
    *("services", "running", "server", "report", "cli"),
)


def for_an_index(markdown, home):
    """The README where no files are beside it: its links lead to `home`, or are their text."""

    def link(found):
        picture, text, target = found.groups()
        if home:
            return f"{picture}[{text}]({home}/{'raw' if picture else 'blob'}/HEAD/{target})"
        return "" if picture else text

    outside = re.split(r"(?ms)^(```.*?^```)", markdown)  # every second part is a block of code
    elsewhere = r"(!?)\[([^\[\]]*)\]\((?![a-z]+:|#)([^()\s]+)\)"
    return "".join(
        part if number % 2 else re.sub(elsewhere, link, part) for number, part in enumerate(outside)
    )


def bill_of_models():
    """The weight files as CycloneDX 1.6 (a dict), without time stamps."""

    def component(name, version, **fields):
        return {"type": "library", "name": name, "version": version, **fields}

    def package(name, version):
        return component(name, version, purl=f"pkg:pypi/{name.replace('_', '-')}@{version}")

    components = []
    for name, model in sorted(MODELS.items()):
        licences = [{"license": {"id": model["licence"]}}]
        hashes = [{"alg": "SHA-256", "content": model["sha256"]}]
        made = component(name, model["version"], description=model["purpose"], hashes=hashes)
        made |= {"bom-ref": name, "licenses": licences}
        made["type"] = "data" if name.endswith(".json") else "machine-learning-model"
        kind, _, source = model["source"].rpartition(" ")
        if kind == "PyPI package":
            made["pedigree"] = {"ancestors": [package(source, model["version"])]}
        components.append(made)
    itself = package("adacompress_ref", VERSION) | {"bom-ref": "adacompress_ref"}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": itself},
        "components": components,
        "dependencies": [{"ref": "adacompress_ref", "dependsOn": sorted(MODELS)}],
    }


class Wheel(wheel.bdist_wheel):
    """With a list of the models (PEP 770); its bytes depend on those of its files alone."""

    def write_wheelfile(self, wheelfile_base, **named):
        super().write_wheelfile(wheelfile_base, **named)
        folder = Path(wheelfile_base, "sboms")
        folder.mkdir(exist_ok=True)
        bill = json.dumps(bill_of_models(), indent=1)
        (folder / "models.cdx.json").write_text(bill + "\n", "utf-8")
        for path in Path(self.bdist_dir).rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)  # whatever the umask of the checkout


urls = {
    "Paper": "https://doi.org/10.1145/3343031.3350874",
    "Authors' code": "https://github.com/hosea1008/AdaCompress",
}
if HOME:
    pages = {"Source": "", "Issues": "/issues", "Changelog": "/blob/HEAD/CHANGELOG.md"}
    urls |= {name: HOME[1] + path for name, path in pages.items()}

setup(
    name="adacompress_ref",
    version=VERSION,
    description="Reference implementation of AdaCompress (ACM MM 2019) in pure NumPy",
    long_description=for_an_index((HERE / "README.md").read_text("utf-8"), HOME and HOME[1]),
    long_description_content_type="text/markdown",
    license_expression=" AND ".join(LICENCES),  # of the code, MIT, and of the weights
    license_files=["LICENSE", "weights/LICENSES.txt"],
    project_urls=urls,
    keywords=[
        *("AdaCompress", "JPEG", "WebP", "image compression", "computer vision", "edge computing"),
        *("cloud vision API", "reinforcement learning", "deep Q-learning", "DQN", "Grad-CAM"),
    ],
    python_requires=">=3.10",
    # the folder weights/ of the checkout is adacompress_ref/weights/ once installed
    packages=[
        "adacompress_ref",
        *(f"adacompress_ref.{room}" for room in ROOMS),
        "adacompress_ref.weights",
    ],
    package_dir={"adacompress_ref.weights": "weights"},
    package_data={
        "": ["*.md"],  # a page beside what it describes
        "adacompress_ref": ["py.typed", "*.pyi", "LICENSE"],
        "adacompress_ref.cli": ["completion.bash", "completion.zsh"],
        "adacompress_ref.report": ["*.css"],
        "adacompress_ref.weights": ["*.onnx", "*.npz", "*.json", "*.txt"],
    },
    cmdclass={"bdist_wheel": Wheel},
    entry_points={"console_scripts": ["adacompress = adacompress_ref.cli.main:main"]},
    install_requires=["numpy>=1.24.2", "pillow>=10.3", "onnxruntime>=1.17", "requests>=2.28"],
    extras_require={
        "keras": ["h5py"],
        "onnx": ["onnx"],
        "heif": ["pillow-heif"],
        "plot": ["matplotlib"],
        "bench": ["torch", "onnx", "h5py", "matplotlib", "stable-baselines3"],
        "docs": ["pdoc"],
        "test": ["pytest", "pytest-cov", "pytest-xdist", "hypothesis", "gymnasium"],
        "dev": [
            *("ruff==0.17.6", "mypy==2.4.1", "types-requests", "shtab==1.13.0"),
            # judges of tests
            *("h5py", "onnx", "botocore", "moto[server]", "build", "setuptools>=77", "pdoc"),
            *("openai", "google-cloud-vision", "baidu-aip", "chardet"),
            "cyclonedx-python-lib[json-validation]",
        ],
    },
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "Intended Audience :: Developers",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 15)),
        "Operating System :: OS Independent",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Processing",
        "Typing :: Typed",
    ],
)
