"""What no line of the product does, whatever it is for."""

import ast
from pathlib import Path
from typing import Any

from tests.proofs.mutants import MUTANTS

# Nothing here is read: the whole environment goes on, to a process that is started or to a source whose configuration
# names what it needs of it.
PASS_ENVIRONMENT_ON = {"deploy/commands/ingest.py", "deploy/engine.py", "deploy/local.py"}
# After the first byte a failure can only be told in the stream itself; before it, it is raised. And what was accepted
# for later, read from a file that is followed, or asked by a probe, has nobody who waits for an answer: its failure is
# logged and becomes its outcome.
TELLS_FAILURES_ITSELF = {
    "gateway/streaming.py",
    "gateway/documents/ingesting.py",
    "gateway/flipping/watch.py",
    "gateway/health/probes.py",
}


def places(module: Any, *nodes: ast.AST) -> list[str]:
    return [f"{module.path}:{getattr(node, 'lineno', '?')}" for node in nodes]


def parents(tree: ast.Module) -> dict[ast.AST, ast.AST]:
    return {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}


def is_environment(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
        return node.attr in ("environ", "environb", "getenv", "getenvb", "putenv", "unsetenv")
    return isinstance(node, ast.ImportFrom) and node.module == "os" and any("env" in one.name for one in node.names)


def is_passed_whole(node: ast.AST, parent: ast.AST) -> bool:
    """`f(os.environ)`, `f(x=os.environ)` or `{**os.environ}`: no name is looked up in it."""
    if isinstance(parent, ast.Dict):
        return any(key is None and value is node for key, value in zip(parent.keys, parent.values, strict=True))
    return isinstance(parent, ast.keyword) or (isinstance(parent, ast.Call) and node in parent.args)


def test_only_settings_read_the_environment(modules: list[Any]) -> None:
    wrong, passing = [], set()
    for module in modules:
        above = parents(module.tree)
        for node in filter(is_environment, ast.walk(module.tree)):
            if module.path in PASS_ENVIRONMENT_ON and is_passed_whole(node, above[node]):
                passing.add(module.path)
            else:
                wrong += places(module, node)
    assert wrong == []
    assert passing == PASS_ENVIRONMENT_ON


def broad(handler: ast.ExceptHandler) -> bool:
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(one is None or ast.unparse(one) in ("Exception", "BaseException") for one in caught)


def test_no_exception_is_swallowed(modules: list[Any]) -> None:
    """Whoever catches everything raises again, and nobody catches anything to do nothing."""
    wrong = []
    for module in modules:
        for handler in (node for node in ast.walk(module.tree) if isinstance(node, ast.ExceptHandler)):
            silent = all(isinstance(step, ast.Pass | ast.Continue) or is_constant(step) for step in handler.body)
            raises = isinstance(handler.body[-1], ast.Raise) or module.path in TELLS_FAILURES_ITSELF
            if silent or (broad(handler) and not raises):
                wrong += places(module, handler)
        wrong += places(module, *(node for node in ast.walk(module.tree) if is_suppression(node)))
    assert wrong == []


def is_constant(step: ast.stmt) -> bool:
    return isinstance(step, ast.Expr) and isinstance(step.value, ast.Constant)


def is_suppression(node: ast.AST) -> bool:
    if not (isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress")):
        return False
    return any(ast.unparse(one) in ("Exception", "BaseException") for one in node.args)


def test_nothing_is_global(modules: list[Any]) -> None:
    assert not [
        place
        for module in modules
        for place in places(module, *(node for node in ast.walk(module.tree) if isinstance(node, ast.Global)))
    ]


def test_only_acl_makes_an_access_filter(modules: list[Any]) -> None:
    wrong, made = [], 0
    for module in modules:
        for node in ast.walk(module.tree):
            names = isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node).split(".")[-1] == "_SEAL"
            makes = isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "AccessFilter"
            made += makes
            if (names or makes) and module.path != "retrieval/acl.py":
                wrong += places(module, node)
    assert wrong == []
    assert made == 1


def test_every_module_says_in_a_sentence_what_it_owns(modules: list[Any]) -> None:
    assert not [module.path for module in modules if module.tree.body and not ast.get_docstring(module.tree)]


def test_what_a_mutant_takes_away_stands_where_it_is_looked_for(root: Path) -> None:
    """Seconds here, where `test_mutants.py` needs minutes to come to it."""
    sources = {one.module: (root / (one.module.replace(".", "/") + ".py")).read_text("utf-8") for one in MUTANTS}
    assert [one.name for one in MUTANTS if sources[one.module].count(one.was) != 1] == []
