"""What a gateway's class says of itself reaches whoever decides what to ask."""

from tillkeeper.domain.query import Abilities
from tillkeeper.gateways.registry import GATEWAYS


def test_abilities_are_those_that_the_class_names(specimen):
    named = GATEWAYS[specimen.gateway.name]
    assert specimen.gateway.abilities == Abilities(
        queryable=named.queryable, single_payment=named.single_payment, refunds_in_payments=named.refunds_in_payments
    )
