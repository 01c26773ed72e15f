"""An order as one aggregate: loaded whole, handed one thing that happened, and given back as one value of changes.

    events of gateways ───> receiving.py ──┐
    the passing of time ──> advancing.py ──┤
    answers of gateways ──> answers.py ────┼──> Changes (changes.py): facts, status and sums, the ladder's steps,
    a person's act ───────> acts.py ───────┘    cases, notices, acts, the queries to put and when to look next

`OrderState` (state.py) is the order as it was loaded: as registered, its facts, its phase and the steps taken in it,
its cases, and what holds it back.  Nothing here reads a clock, a database or the network, and nothing is written:
whoever handed the order over (tillkeeper/store) writes the changes in the transaction that holds its lock, all or none.
So a crash between loading and writing loses nothing: the same order is loaded again, and handed the same.

    registration.py, refund_registration.py       what a merchant registers: terms, and refunds that it requested
    facts.py ──> sums.py ──> status.py            what is known, the money, the one status (meaning: statuses.py)
        ├──────> case_reasons.py ──> cases.py     which cases open, open again, change or close: stale_cases.py audits
        ├──────> implied.py, owed_refunds.py      money that must be asked about; refunds that payers wait for
        ├──────> ownership.py                     whose a payment is that two orders are named for
        ├──────> queries.py, progress.py          what its gateways are asked; the steps that were taken so far
        └──────> closing.py                       whether it may be closed, and what is said then
    view.py                                       how it is shown, to people and machines
    notices.py, reminders.py ──> sending.py       what is told, and whether a mail may go out at its moment
        └──────> notice_outcomes.py               what came of sending it, and when it is tried again
"""
