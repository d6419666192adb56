"""Dependencies point one way, and each heavy library has one home."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

from tests.toy import ROOT

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
HOMES = {
    "boto3": {"components/objects.py"},
    "diffusers": {"components/imagining/generator.py"},
    "transformers": {"components/models/encoders.py", "components/models/quiet.py"},
    "huggingface_hub": {"components/models/checkpoints.py"},
    "pi_heif": {"components/images/decoding.py"},
    "great_expectations": {"components/validation/suites.py"},
    "mlflow": {f"components/lifecycle/{name}.py" for name in ("artifacts", "registry", "runs")},
    "qdrant_client": {"components/index/qdrant.py"},
    "airflow": set(),
    "bentoml": set(),
}


def imported(path: Path) -> set[str]:
    """Top-level names of everything that ``path`` imports anywhere in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


def modules(folder: str) -> dict[str, set[str]]:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files, f"{folder}/ has no modules"
    return {p.relative_to(ROOT).as_posix(): imported(p) for p in files}


@pytest.mark.parametrize("library", HOMES)
def test_a_heavy_library_has_one_home(library: str) -> None:
    users = {name for name, names in modules("components").items() if library in names}
    assert users == HOMES[library]


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [("dags", {"torch", "bentoml", "mlflow"}), ("bento", {"airflow", "mlflow"})],
)
def test_a_side_keeps_to_its_libraries(folder: str, forbidden: set[str]) -> None:
    wrong = {
        name: names & forbidden for name, names in modules(folder).items() if names & forbidden
    }
    assert not wrong


FOUNDATION = "foundation"
"""The room of the modules directly in components/, which every other room may import."""

OWN = {"components", "bento", "ops", "dags", "study", "zoo", "benchmarks", "tests"}


def table(heading: str) -> list[list[str]]:
    """The cells of the table that follows ``## heading`` in docs/architecture.md, without its
    header."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    section = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def allowed() -> dict[str, set[str]]:
    """The rooms that each room may import beside the foundation, as the document says."""
    return {
        room.strip("`").removeprefix("components/"): set(filter(None, names.split(", ")))
        for room, _, names in table("Layout")
    }


def rooms_in(path: Path) -> set[str]:
    """The rooms that the imports of ``path`` name, wherever in the file they are."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    parts = (name.split(".") for name in names)
    return {room_of(Path(*each)) for each in parts if each[0] in OWN}


def room_of(place: Path) -> str:
    """The room of a module, or of a name in one, by its place below the repository's root."""
    if place.parts[0] != "components":
        return place.parts[0]
    inside = len(place.parts) > 1 and (ROOT / "components" / place.parts[1]).is_dir()
    return place.parts[1] if inside else FOUNDATION


def found() -> dict[str, set[str]]:
    """The rooms that each room imports, beside itself and the foundation."""
    files = [path for folder in OWN - {"tests"} for path in (ROOT / folder).rglob("*.py")]
    imports: dict[str, set[str]] = {}
    for path in files:
        room = room_of(path.relative_to(ROOT))
        imports[room] = imports.get(room, set()) | rooms_in(path) - {room}
    return {room: names - {FOUNDATION} for room, names in imports.items()}


def test_each_room_imports_what_the_document_says() -> None:
    """An import that the table does not list fails, and so does an entry that no import uses."""
    assert found() == allowed()


def test_a_room_imports_only_rooms_above_it_in_the_table() -> None:
    order = list(allowed())
    for room, names in allowed().items():
        assert names <= set(order[: order.index(room)]), room


def test_the_document_has_each_stage_as_dvc_yaml_has_it() -> None:
    rows = table("Stages")
    assert [stage.strip("`") for stage, *_ in rows] == list(STAGES)
    for name, file, sections, outputs in rows:
        stage = STAGES[name.strip("`")]
        assert file in stage["deps"] or f"{Path(file).parent}" in stage["deps"], file
        assert Path(file).stem == name.strip("`")
        if not stage.get("always_changed"):  # DVC need not follow what is read at every run
            assert set(quoted(sections)) == {key.split(".")[0] for key in stage["params"]}, name
        kinds = (stage.get(kind, []) for kind in ("outs", "metrics", "plots"))
        outs = [out if isinstance(out, str) else next(iter(out)) for kind in kinds for out in kind]
        for out in outs:
            assert any(Path(out).is_relative_to(folder) for folder in quoted(outputs)), out
        for folder in quoted(outputs):
            assert any(Path(out).is_relative_to(folder) for out in outs), folder


def quoted(cell: str) -> list[str]:
    """What stands between backticks in a cell."""
    return re.findall(r"`([^`]+)`", cell)


def test_light_modules_need_no_heavy_library() -> None:
    """The tasks of a DAG and every `--help` load these."""
    heavy = {"torch", "transformers", "diffusers", "mlflow", "great_expectations"}
    alone = {f"components/{name}.py" for name in ("lifecycle/gate", "learning/metrics")}
    for name, found in modules("components").items():
        if name.count("/") == 1 or name.startswith("components/collection/") or name in alone:
            assert not found & heavy, name


PLUMBING = {
    "components/config/__init__.py": "its values are params",
    "components/config/calibrating.py": "its values are params",
    "components/config/data.py": "its values are params",
    "components/config/fields.py": "its values are params",
    "components/config/imagining.py": "its values are params",
    "components/config/listing.py": "its values are params",
    "components/config/monitoring.py": "its values are params",
    "components/config/params.py": "its values are params",
    "components/config/profiles.py": "its values are params",
    "components/config/retrieval.py": "its values are params",
    "components/config/serving.py": "its values are params",
    "components/errors.py": "says what went wrong",
    "components/files.py": "writes aside",
    "components/locks.py": "waits for other processes",
    "components/objects.py": "carries bytes, which are checked",
    "components/paths.py": "names what deps and outs name",
    "components/progress.py": "shows how far it is",
    "components/variables.py": "chooses what processes see",
    "components/yaml_text.py": "reads params and dvc.lock",
    "components/collection/outbox.py": "keeps what a stage does not read",
    "components/collection/quarantine.py": "keeps what a stage does not read",
    "components/versioning/dvc.py": "asks DVC",
    "components/versioning/lock.py": "reads what DVC recorded",
}
"""What a stage may use without depending on it."""


def needed_by(module: str) -> set[str]:
    """The files of components/ that ``module`` imports, and those that they import."""
    found, left = set(), [module]
    while left:
        name = left.pop()
        if name in found or name in PLUMBING:
            continue
        found.add(name)
        for node in ast.walk(ast.parse((ROOT / name).read_text())):
            left += imported_from(node)
    return found


def imported_from(node: ast.AST) -> list[str]:
    """The files of components/ that an import names: a module, or modules of a package."""
    if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("components"):
        return []
    place = str(node.module).replace(".", "/")
    candidates = [f"{place}.py", *(f"{place}/{alias.name}.py" for alias in node.names)]
    return [name for name in candidates if (ROOT / name).is_file()]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_code_that_it_runs(stage: str) -> None:
    """So DVC runs a stage again after a change to its code, such as a corrected measure."""
    (verb,) = (
        node
        for node in ast.parse((ROOT / "components" / "cli" / "stages.py").read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name == stage
    )
    used = {name for node in ast.walk(verb) for name in imported_from(node)}
    assert used
    code = set().union(*(needed_by(name) for name in used)) - set(PLUMBING)
    deps = [dep for dep in STAGES[stage]["deps"] if dep.startswith("components")]
    assert not {name for name in code if not any(name.startswith(dep) for dep in deps)}
    assert all((ROOT / dep).exists() for dep in deps)


CODE = ("bento", "benchmarks", "components", "dags", "docs", "ops", "study", "zoo")
MOST_LINES, MOST_OF_A_FUNCTION = 350, 60


def sources(*folders: str) -> dict[str, str]:
    """The text of every module in ``folders``, by its path."""
    files = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in files}


def test_modules_and_functions_are_short() -> None:
    found = sources(*CODE, "tests")
    long = {name: lines for name, text in found.items() if (lines := text.count("\n")) > MOST_LINES}
    for name, text in found.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > MOST_OF_A_FUNCTION:
                    long[f"{name}: {node.name}"] = lines
    assert not long


DEFINITIONS = (
    ast.Import,
    ast.ImportFrom,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
)
MAKERS = {
    *("Path", "resolve", "with_name", "compile", "getLogger"),
    *("dict", "fromkeys", "frozenset", "items", "object", "product", "range", "str", "tuple"),
    *("arange", "dtype", "new", "round", "endswith", "datetime", "fields", "getattr"),
    *("AfterValidator", "Field", "NewType", "TypeVar", "WithJsonSchema"),
    *("ContextVar", "Layout", "Option", "Program", "Typer", "Web"),
    *("settings", "guarded"),  # BentoML fixes a service's settings when its class is defined
}
"""What a constant may be made with, beside the private functions of its own module."""

JOINED = {"add_typer", "add_asgi_middleware", "mount_asgi_app"}
"""How a part joins the application that its module makes."""


def calls(node: ast.AST) -> set[str]:
    """What ``node`` calls when it runs, by the last part of each name."""
    found = {ast.unparse(node.func).rpartition(".")[2]} if isinstance(node, ast.Call) else set()
    inner = [] if isinstance(node, ast.Lambda) else ast.iter_child_nodes(node)
    return found.union(*(calls(child) for child in inner))


def does_nothing(node: ast.stmt) -> bool:
    """Whether a statement of a module only defines something."""
    match node:
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.Expr(value=ast.Call()):
            return calls(node) <= JOINED
        case ast.Assign(targets=[ast.Name() | ast.Tuple()]) | ast.AnnAssign(target=ast.Name()):
            return all(name in MAKERS or name.startswith("_") for name in calls(node))
        case ast.If(test=test):
            return ast.unparse(test) in ("TYPE_CHECKING", "__name__ == '__main__'")
    return isinstance(node, DEFINITIONS)


def test_nothing_happens_on_import() -> None:
    """But for dags/: Airflow finds a DAG by importing the file that makes it."""
    wrong = [
        f"{name}:{node.lineno}"
        for name, text in sources(*(folder for folder in CODE if folder != "dags")).items()
        for node in ast.parse(text).body
        if not does_nothing(node)
    ]
    assert not wrong
