"""An order as one aggregate: it is loaded whole, receives one thing that happened, and returns one value of changes.

    events of gateways ───> receiving.py ──┐
    the passing of time ──> advancing.py ──┤
    answers of gateways ──> answers.py ────┼──> Changes (changes.py): facts, status and sums, the ladder's steps,
    a person's act ───────> acts.py ───────┘    cases, notices, acts, the queries to put and when to look next

`OrderState` (state.py) is the order as it was loaded: as registered, its facts, its phase and the steps taken in it,
its cases, and what holds it back.  Nothing here reads a clock, a database or the network, and nothing is written: the
caller (tillkeeper/store) writes the changes in the transaction that holds the order's lock, all or none.  So a crash
between loading and writing loses nothing: the same order is loaded again, and receives the same.

    registration.py, refund_registration.py       what a merchant registers: terms, and refunds that it requested
    facts.py ──> sums.py ──> status.py            what is known, the money, the one status (meaning: statuses.py)
        ├──────> case_reasons.py ──> cases.py     which cases open, reopen, change or close; stale_cases.py audits
        ├──────> mismatch.py                      whether an event may count: account and currency
        ├──────> implied_money.py                 money that the facts imply, which must be queried at once
        ├──────> owed_refunds.py                  failed refunds that payers still wait for
        ├──────> ownership.py                     which order a payment belongs to, if events name two
        ├──────> queries.py, progress.py          what its gateways are queried; the steps taken so far
        └──────> closing.py, doubts.py            whether it may be closed, what stands against it, the notices
    case_texts.py                                 what cases are stored with, as people read it
    effects.py                                    what an act would do, for a dry run
    view.py                                       how it is shown, to people and machines
    notices.py, reminders.py ──> mail_timing.py   which notices are written, and whether a mail may go out
        └──────> notice_outcomes.py               what follows from sending it, and when it is retried
"""
