"""What an explanation says of a policy: the rule to the vendor's own people, the text alone to customers."""

from licet.core.audience import Audience
from licet.core.policies import CompiledPolicy, Restraint
from licet.core.words import fact_words


def restraint_words(restraint: Restraint, audience: Audience) -> str:
    """Return how a policy that applies is told."""
    policy = restraint.policy
    if audience == "customer":
        told = policy.text or "not available under these circumstances"
        if not restraint.decided:
            told = f"cannot be decided without {' and '.join(dict.fromkeys(map(fact_words, restraint.missing)))}"
        return f"{'a rule of the vendor' if policy.denies else 'a note of the vendor'}: {told}"
    text = f"policy {policy.id} applies ({policy.do}): {policy.condition.source}"
    if not restraint.decided:
        lacks = f" without {', '.join(restraint.missing)}" if restraint.missing else ""
        text += f"; it cannot be decided{lacks}, and then it applies"
    return text


def restraint_details(restraint: Restraint, audience: Audience) -> tuple[str, ...]:
    """Return what else the vendor's own people are told of a policy that applies: its text and its note."""
    policy = restraint.policy
    if audience == "customer":
        return ()
    told = (f"the customer reads: {policy.text}" if policy.text else "", f"note: {policy.note}" if policy.note else "")
    return tuple(filter(None, told))


def bystander_words(policy: CompiledPolicy) -> str:
    """Return how a policy that does not apply is told, to the vendor's own people."""
    return f"policy {policy.id} does not apply: {policy.condition.source}"
