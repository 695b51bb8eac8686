-- Events name what their transaction wrote beside the log: name and hash of every document. NULL in events of before.
ALTER TABLE event ADD COLUMN documents json;

-- The last event of the transaction that wrote the row; NULL in rows of before.
ALTER TABLE customer ADD COLUMN seq bigint CHECK (seq > 0);

-- A verifier reads the documents in the order of the log.
CREATE INDEX customer_by_seq ON customer (workspace_id, seq);
CREATE INDEX user_revision_by_seq ON user_revision (workspace_id, seq);
CREATE INDEX catalog_by_seq ON catalog (workspace_id, seq);
