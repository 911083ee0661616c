"""A Principal is a verified caller: on the request path nobody else writes one down."""

import ast
from typing import Any

# The pre-flight and the probes ask as callers that they make up, and show nobody what they find.
MAKES_PRINCIPALS = {
    "gateway/identity/acting.py",
    "gateway/auth.py",
    "gateway/health/probes.py",
    "retrieval/preflight.py",
}


def makes_a_principal(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "Principal"


def test_only_authentication_makes_a_principal(modules: list[Any]) -> None:
    """Commands run by whoever owns the files; what answers others takes its callers from their credentials."""
    online = [module for module in modules if not module.path.startswith("deploy/")]
    made = {module.path for module in online if any(map(makes_a_principal, ast.walk(module.tree)))}
    assert made == MAKES_PRINCIPALS
