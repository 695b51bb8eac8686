-- What each role may do; repeated after every migration, so that this file is the whole truth about rights.
-- licet_app: the server's writes. licet_reader: its reads. licet_keys: the look-ups across workspaces.
-- None of them owns anything. What is append-only has INSERT and SELECT only.

REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC, licet_app, licet_reader, licet_keys;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC, licet_app, licet_reader, licet_keys;
GRANT USAGE ON SCHEMA public TO licet_app, licet_reader, licet_keys;

GRANT SELECT, INSERT ON event, catalog, terms, user_revision, keyset, idempotency TO licet_app;
GRANT SELECT, INSERT, DELETE ON event_private TO licet_app;
GRANT DELETE ON idempotency TO licet_app;
GRANT SELECT, INSERT, UPDATE ON workspace, log_tip, customer, team, customer_user, source, delivery, finding,
    payment_reference TO licet_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON customer_external, subscription_index, secret TO licet_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON check_count, check_flush TO licet_app;
GRANT SELECT, INSERT, DELETE ON check_record TO licet_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON catalog_preview, catalog_preview_group, catalog_preview_customer, said_use, log_tile
    TO licet_app;
GRANT SELECT, INSERT, UPDATE ON version_move, version_move_customer TO licet_app;
GRANT SELECT, INSERT, UPDATE (revoked_at) ON api_key TO licet_app;
GRANT SELECT, INSERT ON usage_fact, funding, usage_segment TO licet_app;
GRANT SELECT, INSERT, UPDATE ON usage_tip, usage_seal, usage_hour, usage_day, usage_value TO licet_app;
GRANT SELECT, INSERT, DELETE ON usage_key TO licet_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON usage_refusal, balance, balance_checkpoint, reservation, quota_lease
    TO licet_app;
GRANT EXECUTE ON FUNCTION make_usage_month(date), drop_usage_month(date), usage_months() TO licet_app;
GRANT INSERT ON workspace_index, key_index TO licet_app;

GRANT SELECT ON
    workspace, log_tip, event, event_private, catalog, terms, customer, customer_external, subscription_index, team, customer_user,
    user_revision, source, secret, delivery, finding, payment_reference,
    check_count, check_record, check_flush,
    catalog_preview, catalog_preview_group, catalog_preview_customer, said_use, log_tile,
    version_move, version_move_customer, keyset,
    usage_tip, usage_seal, usage_fact, usage_key, usage_refusal, balance, balance_checkpoint, reservation, quota_lease,
    funding, usage_segment, usage_hour, usage_day, usage_value
TO licet_reader;
GRANT SELECT (workspace_id, id, kind, name, scopes, customer, created_at, expires_at, revoked_at)
    ON api_key TO licet_reader;

GRANT SELECT ON workspace_index, key_index, workspace, log_tip, api_key TO licet_keys;
GRANT EXECUTE ON FUNCTION all_workspaces(), key_by_id(text) TO licet_keys;
