"""The statements of docs/operations.md."""

import re
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()


async def test_the_statements_for_operators_fit_the_schema(pool):
    statements = [
        each for block in re.findall(r"```sql\n(.+?)```", PAGE, re.DOTALL) for each in block.split(";\n") if each
    ]
    assert statements
    for statement in statements:
        await pool.execute(f"EXPLAIN {statement}")
