-- What foreign invoices and payments belong to, and findings with an owner, a due date, what is at stake and a repair.

CREATE TABLE payment_reference (
    workspace_id text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL,
    reference text COLLATE "C" NOT NULL CHECK (length(reference) BETWEEN 1 AND 255),
    invoice text COLLATE "C" NOT NULL CHECK (length(invoice) BETWEEN 1 AND 255),
    external_id text COLLATE "C" CHECK (length(external_id) BETWEEN 1 AND 255),
    PRIMARY KEY (workspace_id, source, reference),
    FOREIGN KEY (workspace_id, source) REFERENCES source (workspace_id, id)
);
ALTER TABLE payment_reference ENABLE ROW LEVEL SECURITY;
ALTER TABLE payment_reference FORCE ROW LEVEL SECURITY;
CREATE POLICY own_workspace ON payment_reference
    USING (workspace_id = nullif(current_setting('licet.workspace', true), ''));

CREATE INDEX delivery_by_outcome ON delivery (workspace_id, source, outcome, received_at, id)
    WHERE outcome IN ('failed', 'waiting');

ALTER TABLE finding
    ADD COLUMN customer text COLLATE "C" CHECK (length(customer) BETWEEN 1 AND 128),
    ADD COLUMN money_amount bigint CHECK (money_amount >= 0),
    ADD COLUMN money_currency text COLLATE "C" CHECK (length(money_currency) = 3),
    ADD COLUMN owner text NOT NULL DEFAULT '' CHECK (length(owner) <= 200),
    ADD COLUMN due_at timestamptz,
    ADD COLUMN repair text NOT NULL DEFAULT '' CHECK (length(repair) <= 2000),
    ADD COLUMN note text NOT NULL DEFAULT '' CHECK (length(note) <= 2000),
    ADD COLUMN settled_at timestamptz,
    ADD CONSTRAINT finding_money_whole CHECK ((money_amount IS NULL) = (money_currency IS NULL));
CREATE INDEX finding_by_customer ON finding (workspace_id, customer, id);
