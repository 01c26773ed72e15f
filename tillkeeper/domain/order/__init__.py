"""An order as one aggregate: loaded whole, handed one thing that happened, and given back as one value of changes.

    events of gateways ───> receiving.py ──┐
    the passing of time ──> advancing.py ──┤
    answers of gateways ──> answers.py ────┼──> Changes (changes.py): facts, status and sums, the ladder's steps,
    a person's act ───────> acts.py ───────┘    cases, notices, acts, the queries to put and when to look next

`OrderState` (state.py) is the order as it was loaded: as registered, its facts, its phase and the steps taken in it,
its cases, and what holds it back.  Nothing here reads a clock, a database or the network, and nothing is written:
whoever handed the order over (tillkeeper/store) writes the changes in the transaction that holds its lock, all or none.
So a crash between loading and writing loses nothing: the same order is loaded again, and handed the same.

    facts.py ──> sums.py ──> status.py            the money, and the one status; what each means: domain/statuses.py
        ├──────> case_reasons.py ──> cases.py     which cases open, open again, change or close
        ├──────> implied.py, owed.py              money that must be asked about; refunds that payers wait for
        └──────> queries.py                       what its gateways are asked

    notices.py, reminders.py ──> sending.py       what is told, and whether a mail may go out at its moment
        └──────> notice_outcomes.py               what came of sending it, and when it is tried again
"""
