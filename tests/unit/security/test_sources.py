"""What the program's text may not contain: pickles, evaluated text, shells, and SQL made of anything but names."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PRODUCT = sorted(
    [
        *(ROOT / "core").rglob("*.py"),
        *ROOT.glob("*.py"),
        *(ROOT / "tools").rglob("*.py"),
        *(ROOT / "benchmarks").rglob("*.py"),
    ]
)
STORE = ROOT / "core" / "store"

LOADERS = {
    *("pickle", "cPickle", "_pickle", "cloudpickle", "dill", "marshal", "shelve", "joblib", "jsonpickle", "dbm"),
    *("torch", "xmlrpc", "telnetlib", "ftplib"),
}
CALLS = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "pd.read_pickle", "pandas.read_pickle"),
    *("yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "yaml.full_load_all", "torch.load"),
    *("tempfile.mktemp", "shutil.unpack_archive", "zipfile.ZipFile.extractall", "tarfile.open"),
}
SQL = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE|PRAGMA|CREATE|DROP|ATTACH|VACUUM)\b\s")


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def name_of(node: ast.AST) -> str:
    """Return a dotted name, or ``""`` for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = name_of(node.value)
        return f"{before}.{node.attr}" if before else node.attr
    return ""


def calls(tree: ast.Module) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def imported(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def faults(tree: ast.Module) -> list[str]:
    """Return what a module does that nothing here may do."""
    found = [f"imports {name}" for name in sorted(imported(tree) & LOADERS)]
    for call in calls(tree):
        name = name_of(call.func)
        options = {option.arg: option.value for option in call.keywords}
        where = f"line {call.lineno}: {name}"
        if name in CALLS:
            found.append(where)
        if isinstance(options.get("shell"), ast.Constant) and options["shell"].value:  # type: ignore[attr-defined]
            found.append(f"{where} through a shell")
        if "shell" in options and not isinstance(options["shell"], ast.Constant):
            found.append(f"{where} perhaps through a shell")
        if "allow_pickle" in options:
            found.append(f"{where} with pickles")
        if name.endswith(("extractall", "enable_load_extension", "load_extension")):
            found.append(where)
    return found


def test_there_is_something_to_look_at() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in PRODUCT}
    assert {"core/store/connection.py", "scheduler_run.py", "tools/audit.py", "benchmarks/_measure.py"} <= names


@pytest.mark.parametrize("path", PRODUCT, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_unpickles_evaluates_or_uses_a_shell(path: Path) -> None:
    assert faults(tree_of(path)) == []


@pytest.mark.parametrize(
    "text",
    [
        *("import pickle", "from joblib import load", "import marshal as m", "from shelve import open"),
        *("eval('1')", "exec(x)", "yaml.load(x)", "yaml.load(x, Loader=yaml.CSafeLoader)", "os.system('ls')"),
        *("subprocess.run('ls', shell=True)", "subprocess.run('ls', shell=flag)", "np.load(p, allow_pickle=True)"),
        *("pd.read_pickle(p)", "torch.load(p)", "archive.extractall(p)", "connection.load_extension('x')"),
    ],
)
def test_the_look_finds_what_it_looks_for(text: str) -> None:
    assert faults(ast.parse(text))


def test_the_style_check_knows_these_dangers_too() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]["lint"]
    assert "S" in settings["select"], "flake8-bandit"
    assert [rule for rule in settings["ignore"] if re.fullmatch(r"S\d+", rule)] == ["S101"]
    for pattern, rules in settings["per-file-ignores"].items():
        if pattern.startswith("core"):
            assert not [rule for rule in rules if re.fullmatch(r"S\d*", rule)], pattern


# --- SQL


def handed_in(tree: ast.Module) -> Iterator[ast.expr]:
    """Yield what is handed to a connection as a statement, and to the functions statements are put together with."""
    for call in calls(tree):
        method = call.func.attr if isinstance(call.func, ast.Attribute) else name_of(call.func)
        if method in ("execute", "executemany", "pragma") and call.args:
            yield call.args[0]
        elif method in ("fetch", "fetch_value", "select") and len(call.args) > 1:
            yield call.args[1]
        elif method == "where" and isinstance(call.args[0], ast.Dict):
            yield from (key for key in call.args[0].keys if key is not None)


def put_in(node: ast.AST) -> Iterator[ast.expr]:
    """Yield the parts of a text that are no text themselves: of f-strings, concatenations, ``%`` and ``format``."""
    if isinstance(node, ast.JoinedStr):
        yield from (part.value for part in node.values if isinstance(part, ast.FormattedValue))
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        for side in (node.left, node.right):
            if isinstance(side, ast.JoinedStr | ast.BinOp):
                yield from put_in(side)
            elif not isinstance(side, ast.Constant):
                yield side
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        yield from (*node.args, *(option.value for option in node.keywords))


def is_declared(part: ast.expr) -> bool:
    """Say whether a part comes from a constant of a module: its name is in capitals, or it joins what one lists."""
    if isinstance(part, ast.Name):
        return part.id.lstrip("_").isupper()
    if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute):
        listed = part.args[0] if part.func.attr == "join" and part.args else None
        if isinstance(listed, ast.GeneratorExp):
            return all(is_declared(each.iter) for each in listed.generators)
    return False


def made_in(path: Path) -> set[str]:
    """Return every part that a module puts into the text of SQL and that is not declared by a constant."""
    tree = tree_of(path)
    made = list(handed_in(tree))
    for node in ast.walk(tree):
        texts = [
            part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)
        ]
        if isinstance(node, ast.JoinedStr | ast.BinOp | ast.Call) and any(SQL.search(text) for text in texts):
            made.append(node)  # type: ignore[arg-type]
    return {ast.unparse(part) for node in made for part in put_in(node) if not is_declared(part)}


# What is put into the text of a statement, by module. Each was looked at: a clause of constants and question marks
# (`where`, `listed`), a column of `core.schema`, a table from a constant, a row of question marks. Values are bound.
MADE = {
    "_frames.py": {"table", "', '.join(names)", "places", "then", "columns", "source"},
    "_read_learning.py": {"clause", "source", "statement"},
    "_read_models.py": {"clause", "table", "order"},
    "_read_people.py": {"clause", "order"},
    "_read_records.py": {"clause", "order", "limited"},
    "_read_series.py": {"clause"},
    "_schema_models.py": {"table", "begins", "within"},
    "_write_learning.py": {"settings"},
    "_write_models.py": {"names", "places"},
    "_write_records.py": {"clause"},
    "copying.py": {"table"},
    "looks.py": {"check"},
}


def test_texts_of_sql_are_constants_but_for_parts_that_were_looked_at() -> None:
    found = {path.name: parts for path in sorted(STORE.rglob("*.py")) if (parts := made_in(path))}
    assert sum(map(len, found.values())) > 10, "the look finds what there is"
    new = {name: parts - MADE.get(name, set()) for name, parts in found.items()}
    assert {name: parts for name, parts in new.items() if parts} == {}


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('connection.execute(f"SELECT * FROM {name}")', "name"),
        ('fetch(connection, "SELECT * FROM signals WHERE symbol = \'" + symbol + "\'")', "symbol"),
        ('connection.execute("DELETE FROM %s" % table)', "table"),
        ('question = "SELECT {} FROM x".format(column)', "column"),
        ('connection.pragma(f"user_version = {number}")', "number"),
        ('where({f"symbol = {symbol}": 1})', "symbol"),
    ],
)
def test_the_look_at_sql_finds_what_it_looks_for(text: str, part: str, tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(text)
    assert made_in(tmp_path / "module.py") == {part}


def test_no_sql_outside_the_store() -> None:
    for path in PRODUCT:
        if path.is_relative_to(STORE) or not path.is_relative_to(ROOT / "core"):
            continue
        assert "apsw" not in imported(tree_of(path)), path
        assert "sqlite3" not in imported(tree_of(path)), path
        methods = {node.func.attr for node in calls(tree_of(path)) if isinstance(node.func, ast.Attribute)}
        assert not methods & {"execute", "executemany", "executescript"}, path
