-- A message may be given up: it is kept, but nobody waits for it any more.
ALTER TABLE delivery
    DROP CONSTRAINT delivery_outcome_check,
    ADD CONSTRAINT delivery_outcome_check CHECK (outcome IN
        ('received', 'applied', 'stale', 'duplicate', 'ignored', 'finding', 'failed', 'waiting', 'discarded'));
