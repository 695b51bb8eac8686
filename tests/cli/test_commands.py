"""The commands on a real server and its database: what they print, in words and in JSON, and their exit codes."""

import json
import stat
from pathlib import Path

import pytest

from tests.cli.terminal import Shop, licet

pytestmark = pytest.mark.postgres


def test_check_says_yes_no_and_cannot(stocked: Shop) -> None:
    """Exit code 0 with the reason when allowed, 1 with a remedy when refused, 1 for an unknown customer."""
    yes = stocked.run("check", "acme", "scenario_planning")
    assert yes.code == 0
    assert yes.out.startswith("✓ allowed  scenario_planning for acme  entitled")
    no = stocked.run("check", "acme", "sso")
    assert no.code == 1
    assert no.out.startswith("✗ refused  sso for acme  not_entitled")
    assert "remedy" in no.out
    assert stocked.run("check", "nobody", "sso", "--json").document["reason"] == "unknown_customer"


def test_check_counts_what_the_caller_counts(stocked: Shop) -> None:
    """`--used` and `--quantity` reach the decision; the limit is shown with what is left."""
    decision = stocked.run("check", "acme", "projects", "--used", "7", "--quantity", "2", "--json").document
    amount = decision["limit"]["amount"]
    assert decision["allowed"]
    assert decision["limit"]["used"] == 7
    full = stocked.run("check", "acme", "projects", "--used", str(amount))
    assert full.code == 1
    assert "limit_reached" in full.out
    odd = stocked.run("check", "acme", "projects", "--quantity", "1.5")
    assert odd.code == 2
    assert "1.5" in odd.err


def test_what_was_not_answered_is_no_refusal(stocked: Shop) -> None:
    """`check` exits 2, not 1, without a catalog and with a key that may not ask; so does showing nobody."""
    assert stocked.run("check", "acme", "sso", workspace="live").code == 2
    made = stocked.at_home("keys", "create", "--name", "x", "--scope", "catalog:read", "-w", "test", "--json")
    env = {"LICET_URL": stocked.url, "LICET_KEY": made.document["secret"]}
    for command in (["check", "acme", "sso"], ["order", "send", "-"]):
        ran = licet(*command, env=env, stdin="{}")
        assert ran.code == 2, ran
        assert "scope" in ran.err
    assert stocked.run("customer", "show", "nobody").code == 2


def test_an_order_that_is_not_taken_exits_1(stocked: Shop) -> None:
    """An order without any line that means something is refused: exit code 1, with the outcome and the finding."""
    order = {
        "source": "crm",
        "external_id": "deal-refused",
        "customer": {"id": "refused"},
        "occurred_at": "2026-03-01T00:00:00Z",
        "lines": [{"price": "MER-NOTHING"}],
    }
    ran = stocked.run("order", "send", "-", stdin=json.dumps(order))
    assert ran.out.startswith("refused"), ran
    assert ran.code == 1


def test_explain_takes_the_whole_question(stocked: Shop) -> None:
    """--used, --quantity, --known-at and --basis reach the explanation."""
    full = stocked.run("explain", "acme", "projects", "--used", "19", "--quantity", "2", "--json").document
    assert full["decision"]["reason"] == "limit_reached"
    before = stocked.run("explain", "acme", "projects", "--known-at", "2026-02-02", "--json")
    assert before.code == 2 or not before.document["decision"]["allowed"]
    basis = stocked.run("check", "acme", "projects", "--json").document["basis"]
    assert stocked.run("explain", "acme", "projects", "--basis", basis, "--at", "2090-01-01").code == 0
    for command in (["explain", "acme", "projects"], ["entitlements", "acme"]):
        undated = stocked.run(*command, "--basis", basis)
        assert undated.code == 2
        assert "a basis says by which truth, not when" in undated.err


def test_the_clock_means_the_test_workspace(stocked: Shop) -> None:
    """At home `licet clock` shows the workspace test unless said; -w live shows live; with a key, -w contradicts."""
    assert stocked.at_home("clock", "show", "--json").document["workspace"] == "test"
    assert stocked.at_home("clock", "show", "-w", "live", "--json").document["workspace"] == "live"
    assert stocked.run("clock", "show", "-w", "test").code == 2


def test_check_passes_the_context_on(stocked: Shop) -> None:
    """A deployment given with --context decides about a deployment-bound feature."""
    refused = stocked.run("check", "acme", "desktop", "--context", "deployment=saas")
    assert "deployment_not_allowed" in refused.out
    allowed = stocked.run("check", "acme", "desktop", "--context", "deployment=desktop", "--json").document
    assert "deployment_not_allowed" not in allowed["reasons"]
    unknown = stocked.run("check", "acme", "desktop", "--context", "deployment=moon")
    assert unknown.code == 2
    assert "moon" in unknown.err
    assert "air_gapped" in unknown.err


def test_entitlements_list_everything(stocked: Shop) -> None:
    """The table names each feature of the plan once; a past instant before the order has none."""
    ran = stocked.run("entitlements", "acme")
    assert ran.code == 0
    assert sum(line.split()[1:2] == ["projects"] for line in ran.out.splitlines()) == 1
    answer = stocked.run("entitlements", "acme", "--json").document
    assert {entry["feature"] for entry in answer["entitlements"]} >= {"projects", "scenario_planning", "ai"}
    assert stocked.run("entitlements", "nobody").code == 2


def test_orders_are_placed_once(stocked: Shop, tmp_path: Path) -> None:
    """A YAML order is applied; sent again it is a duplicate; an unknown field is told with its path."""
    order = tmp_path / "order.yaml"
    order.write_text(
        "source: crm\nexternal_id: deal-7\ncustomer: {id: globex}\noccurred_at: '2026-03-01T00:00:00Z'\n"
        "lines:\n  - {price: MER-BUS, quantity: 3}\n"
    )
    first = stocked.run("order", "send", str(order))
    assert first.code == 0
    assert first.out.startswith("applied")
    assert stocked.run("order", "send", str(order), "--json").document["outcome"] == "duplicate"
    order.write_text(order.read_text() + "colour: red\n")
    wrong = stocked.run("order", "send", str(order))
    assert wrong.code == 1
    assert "there is no field colour" in wrong.err


def test_customers_are_created_shown_and_listed(stocked: Shop) -> None:
    """A created customer is shown with its facts and listed; the same id again is refused."""
    made = stocked.run(
        "customer", "create", "zoë", "--name", "Zoë & Söhne", "--external-id", "crm=Z1", "--region", "eu"
    )
    assert made.code == 0, made.err
    shown = stocked.run("customer", "show", "zoë")
    assert "Zoë & Söhne" in shown.out
    assert "Z1 (crm)" in shown.out
    assert "zoë" in stocked.run("customer", "list").out
    again = stocked.run("customer", "create", "zoë")
    assert again.code == 1
    assert "zoë" in again.err
    acme = stocked.run("customer", "show", "acme").out
    assert "team@2026-01" in acme


def test_a_note_is_kept_in_the_log(stocked: Shop) -> None:
    """--note travels with the command, in any script, and `licet log` shows it."""
    assert stocked.run("customer", "create", "noted", "--note", "für Zoë, 5 % mehr").code == 0
    events = stocked.run("log", "--subject", "customer/noted", "--json").document["items"]
    assert [event["note"] for event in events] == ["für Zoë, 5 % mehr"]
    assert "für Zoë" in stocked.run("log", "--subject", "customer/noted").out


def test_the_log_shows_its_newest_events(stocked: Shop) -> None:
    """Without a place to begin, `licet log -n 2` shows the last two; --after begins where it says."""
    everything = stocked.run("log", "-n", "500", "--json").document["items"]
    last = stocked.run("log", "-n", "2", "--json").document["items"]
    assert last == everything[-2:]
    assert stocked.run("log", "--after", "1", "-n", "1", "--json").document["items"][0]["seq"] == 2


def test_connectors_are_configured_with_a_secret_from_a_file(stocked: Shop, tmp_path: Path) -> None:
    """The secret comes from a file, never from the command line, and is not shown; the address is."""
    secret = tmp_path / "secret"
    secret.write_text("whsec_0123456789abcdef\n")
    made = stocked.run("connector", "add", "stripe", "--id", "stripe", "--secret-file", str(secret))
    assert made.code == 0, made.err
    assert f"{stocked.url}/v1/connectors/test/stripe" in made.out
    listed = stocked.run("connector", "list")
    assert "stripe" in listed.out
    assert "whsec" not in made.out + listed.out + stocked.run("connector", "list", "--json").out
    secret.write_text("short")
    assert stocked.run("connector", "add", "stripe", "--secret-file", str(secret)).code == 2


def test_the_clock_of_the_test_workspace_moves_forward_only(stocked: Shop) -> None:
    """advance and set move the clock; backwards is refused with the time and how to begin again; the live one stays."""
    before = stocked.run("clock", "show", "--json").document["now"]
    moved = stocked.run("clock", "advance", "P1D", "--json").document["now"]
    assert moved > before
    back = stocked.run("clock", "set", "2020-01-01")
    assert back.code == 1
    assert "2020-01-01" in back.err
    assert "LICET_HOME=DIR licet up" in back.err
    assert stocked.run("clock", "advance", "P1D", workspace="live").code == 1
    for span in ("soon", "P0D"):
        still = stocked.run("clock", "advance", span)
        assert still.code == 2
        assert "PT12H" in still.err


def test_keys_live_at_the_database(stocked: Shop) -> None:
    """A key is made, works, is listed without its secret, rotated with an overlap, revoked and refused."""
    made = stocked.at_home("keys", "create", "--name", "ci", "--scope", "check", "-w", "test", "--json").document
    secret, key = made["secret"], made["key"]["id"]
    assert licet("check", "acme", "sso", env={"LICET_URL": stocked.url, "LICET_KEY": secret}).code == 1
    listed = stocked.at_home("keys", "list", "-w", "test")
    assert key in listed.out
    assert secret not in listed.out
    successor = stocked.at_home("keys", "rotate", key, "-w", "test", "--overlap", "PT1H", "--json").document
    assert successor["key"]["id"] != key
    assert licet("check", "acme", "sso", env={"LICET_URL": stocked.url, "LICET_KEY": secret}).code == 1
    gone = stocked.at_home("keys", "revoke", successor["key"]["id"], "-w", "test")
    assert gone.code == 0
    refused = licet("check", "acme", "sso", env={"LICET_URL": stocked.url, "LICET_KEY": successor["secret"]})
    assert refused.code == 2
    events = stocked.run("log", "--subject", f"key/{key}", "--json").document["items"]
    assert events[0]["actor"].startswith("local:")
    assert stocked.at_home("keys", "revoke", "nokey", "-w", "test").code in (1, 2)
    assert "known are live, test" in stocked.at_home("keys", "list", "-w", "elsewhere").err


def test_commands_at_home_need_no_variables(stocked: Shop) -> None:
    """On the server's machine address and key come from its home, the workspace from -w."""
    assert stocked.at_home("check", "acme", "scenario_planning", "-w", "test").code == 0
    live = stocked.at_home("customer", "list")
    assert live.code == 0
    assert "acme" not in live.out
    assert "no key for workspace 'moon'" in stocked.at_home("customer", "list", "-w", "moon").err


def test_the_homes_key_goes_to_the_homes_server_only(stocked: Shop) -> None:
    """With LICET_URL alone the key of the home is used for the home's own server, and for no other address."""
    env = {"LICET_HOME": str(stocked.home), "LICET_DATABASE_URL": stocked.dsn}
    assert licet("customer", "list", env={**env, "LICET_URL": stocked.url}).code == 0
    other = licet("customer", "list", env={**env, "LICET_URL": "http://127.0.0.1:9"})
    assert other.code == 2
    assert "LICET_KEY" in other.err
    there = licet("customer", "list", "--json", env={**env, "LICET_KEY": stocked.keys["test"]})
    assert "acme" in {row["id"] for row in there.document["items"]}


def test_the_homes_files_are_private(stocked: Shop) -> None:
    """Whoever is not the server's user may read neither keys nor address."""
    for name in ("keys.json", "server.json", "master.keys"):
        assert stat.S_IMODE((stocked.home / name).stat().st_mode) == 0o600


def test_a_key_and_a_workspace_contradict_each_other(stocked: Shop) -> None:
    """LICET_KEY has a workspace of its own: naming another is an error, not a surprise."""
    ran = stocked.run("customer", "list", "-w", "live")
    assert ran.code == 2
    assert "LICET_KEY" in ran.err


def test_findings_are_listed(stocked: Shop) -> None:
    """An order with a price that means nothing leaves a finding that `licet findings` shows."""
    order = {
        "source": "crm",
        "external_id": "deal-9",
        "customer": {"id": "odd"},
        "occurred_at": "2026-03-01T00:00:00Z",
        "lines": [{"price": "MER-NOTHING"}],
    }
    sent = stocked.run("order", "send", "-", stdin=json.dumps(order))
    assert "MER-NOTHING" in sent.out + sent.err
    listed = stocked.run("findings")
    assert listed.code == 0
    assert "MER-NOTHING" in listed.out
    assert "first 20" in listed.out
    assert "fnd_" in listed.out
    assert "add it to orders.crm" in listed.out


def test_audit_proves_the_log_and_a_checkpoint_its_end(stocked: Shop, tmp_path: Path) -> None:
    """The log is whole, and says what it cannot tell without a checkpoint; with one, everything is covered."""
    whole = stocked.at_home("audit", "verify", "-w", "test")
    assert whole.code == 0
    assert "the log is whole" in whole.out
    assert "database" in whole.out
    assert "no checkpoint was given" in whole.out
    point = tmp_path / "point.txt"
    verifier = stocked.at_home("audit", "checkpoint", "--out", str(point), "-w", "test", "--json").document["verifier"]
    arguments = ["audit", "verify", "-w", "test", "--checkpoint", str(point)]
    report = stocked.at_home(*arguments, "--json").document
    assert report["ok"]
    assert report["checked_against"]
    assert stocked.at_home(*arguments, "--verifier", verifier).code == 0
    point.write_text(point.read_text().replace("hash ", "hash 0"))
    changed = stocked.at_home(*arguments)
    assert changed.code == 1
    assert "Traceback" not in changed.err


def test_doctor_tells_where_things_are(stocked: Shop) -> None:
    """The doctor names home, database version, migrations, disk, secrets and the running server; all is well."""
    found = stocked.at_home("doctor", "--json").document
    checks = {check["name"]: check for check in found["checks"]}
    assert found["ok"]
    assert found["home"] == str(stocked.home)
    assert "PostgreSQL" in checks["database"]["words"]
    assert checks["migrations"]["words"] == "all applied"
    assert stocked.url in checks["server"]["words"]
    (stocked.home / "keys.json").chmod(0o644)
    open_to_all = stocked.at_home("doctor")
    (stocked.home / "keys.json").chmod(0o600)
    assert open_to_all.code == 1
    assert "chmod 600" in open_to_all.out


def test_the_version_is_told() -> None:
    """`licet version` and `--version` name the same release."""
    assert licet("--version").out.split()[1] == licet("version", "--json").document["licet"]
