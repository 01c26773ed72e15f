"""A refusal of a statement says where and what."""

from tillkeeper.domain.books.statement import StatementRefused


def test_a_refusal_names_the_line_where_there_is_one():
    assert str(StatementRefused("the file is cut", line=12)) == "line 12: the file is cut"
    assert str(StatementRefused("the file is empty")) == "the file is empty"
    assert StatementRefused("the file is empty").line is None
