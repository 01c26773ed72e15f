-- People remind payers, and resolve cases about money in two.
-- oldest program: 2
-- 0.1.0 reads these words as texts, and writes the ones that it knows.
-- step: transaction
-- squawk-ignore ban-drop-constraint
ALTER TABLE acts DROP CONSTRAINT acts_what_check;
ALTER TABLE acts ADD CONSTRAINT acts_what_check
CHECK (what IN ('hold', 'release', 'close', 'reopen', 'ask', 'remind')) NOT VALID;
-- step: transaction
ALTER TABLE acts VALIDATE CONSTRAINT acts_what_check;
-- step: transaction
-- squawk-ignore ban-drop-constraint
ALTER TABLE case_entries DROP CONSTRAINT case_entries_what_check;
ALTER TABLE case_entries ADD CONSTRAINT case_entries_what_check CHECK (what IN
('opened', 'reopened', 'escalated', 'followed_up', 'assigned', 'noted', 'proposed', 'confirmed', 'refused', 'resolved', 'closed')
) NOT VALID;
-- step: transaction
ALTER TABLE case_entries VALIDATE CONSTRAINT case_entries_what_check;
