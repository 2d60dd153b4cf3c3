import re
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "adacompress_ref/__init__.py").read_text())[1]

ROOMS = (
    *("core", "storage", "survival", "imaging", "views", "tables"),
    *("services", "running", "server", "report", "cli"),
)

setup(
    name="adacompress_ref",
    version=VERSION,
    description="Reference implementation of AdaCompress (ACM MM 2019) in pure NumPy",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE", "weights/LICENSES.txt"],
    python_requires=">=3.10",
    # the folder weights/ of the checkout is adacompress_ref/weights/ once installed
    packages=[
        "adacompress_ref",
        *(f"adacompress_ref.{room}" for room in ROOMS),
        "adacompress_ref.weights",
    ],
    package_dir={"adacompress_ref.weights": "weights"},
    package_data={
        "adacompress_ref": ["py.typed", "*.pyi", "*.md", "LICENSE"],
        "adacompress_ref.cli": ["completion.bash", "completion.zsh"],
        "adacompress_ref.report": ["*.css"],
        "adacompress_ref.running": ["*.md"],
        "adacompress_ref.weights": ["*.onnx", "*.npz", "*.json", "*.md", "*.txt"],
    },
    entry_points={"console_scripts": ["adacompress = adacompress_ref.cli.main:main"]},
    install_requires=["numpy>=1.24.2", "pillow>=10.3", "onnxruntime>=1.17", "requests>=2.28"],
    extras_require={
        "keras": ["h5py"],
        "onnx": ["onnx"],
        "plot": ["matplotlib"],
        "dask": ["distributed"],
        "bench": ["torch", "onnx", "h5py", "matplotlib", "stable-baselines3"],
        "docs": ["pdoc"],
        "test": ["pytest", "pytest-cov", "pytest-xdist", "hypothesis", "gymnasium"],
        "dev": [
            *("ruff==0.17.6", "mypy==2.4.1", "types-requests", "shtab==1.13.0"),
            *("h5py", "onnx", "botocore", "moto[server]", "build", "pdoc"),  # judges of tests
        ],
    },
    classifiers=[
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 15)),
        "Operating System :: OS Independent",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Processing",
        "Typing :: Typed",
    ],
)
