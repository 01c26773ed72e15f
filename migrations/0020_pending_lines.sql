-- Lines of statements say whether what they list was still under way.
-- oldest program: 2
-- step: transaction
ALTER TABLE statement_lines ADD COLUMN pending boolean NOT NULL DEFAULT false;
