"""What is planned for a story's subscription: a schedule with its phases, and what becomes of it."""

from copy import deepcopy
from datetime import datetime

from licet.testing.stripe_objects import after_periods, set_price
from licet.testing.stripe_payments import phase_object, schedule_object
from licet.testing.stripe_teller import SignedDelivery, Teller
from licet.testing.stripe_templates import Json


class ScheduleTeller(Teller):
    """The part of a story that tells of plans: changes are (instant, price, quantity) of the first item."""

    _schedule: Json | None = None

    def attach_schedule(self) -> SignedDelivery:
        """A schedule is made from the subscription as it is; it plans nothing yet."""
        return self._event("subscription_schedule.created", self._new_schedule())

    def schedule(self, *changes: tuple[datetime, str, int], until: datetime | None = None) -> SignedDelivery:
        """The schedule plans these changes and no others; with ``until`` the subscription ends with the last one."""
        schedule = self._schedule or self._new_schedule()
        before = {"phases": schedule["phases"], "end_behavior": schedule["end_behavior"]}
        starts = [int(at.timestamp()) for at, _, _ in changes]
        last = self._period()[1] if not starts else after_periods(starts[-1], self._interval, 1)
        ends = [*starts, last if until is None else int(until.timestamp())]
        (_, items), begun = self._running(), schedule["phases"][0]["start_date"]
        phases = [phase_object(begun, ends[0], items)]
        for place, (_, price, quantity) in enumerate(changes):
            phases.append(phase_object(starts[place], ends[place + 1], [(price, quantity), *items[1:]]))
        schedule |= {"phases": phases, "end_behavior": "release" if until is None else "cancel"}
        return self._event(
            "subscription_schedule.updated",
            schedule,
            {name: old for name, old in before.items() if schedule[name] != old},
        )

    def begin_phase(self) -> SignedDelivery:
        """The next planned phase begins: ``customer.subscription.updated`` tells it."""
        schedule = self._attached()
        phase = next(one for one in schedule["phases"] if one["start_date"] > schedule["current_phase"]["start_date"])
        self.now = max(self.now, phase["start_date"])
        schedule["current_phase"] = {"start_date": phase["start_date"], "end_date": phase["end_date"]}
        items = self._subscription["items"]["data"]
        for place, planned in enumerate(phase["items"]):
            items[place] = set_price(items[place], planned["price"], planned["quantity"], self._interval)
        if self._period()[1] <= self.now:
            self._begin_period(phase["start_date"])
        return self._tell("updated")

    def release_schedule(self) -> SignedDelivery:
        """The schedule lets the subscription go: nothing is planned any more."""
        schedule = self._attached()
        schedule |= {"status": "released", "released_at": self.now, "current_phase": None}
        schedule |= {"released_subscription": schedule["subscription"], "subscription": None}
        return self._over("released")

    def cancel_schedule(self) -> SignedDelivery:
        """The schedule is canceled, and the subscription with it: ``delete`` tells that."""
        self._attached().update({"status": "canceled", "canceled_at": self.now, "current_phase": None})
        return self._over("canceled")

    def complete_schedule(self) -> SignedDelivery:
        """The last phase has ended, and the subscription with it: ``delete`` tells that."""
        schedule = self._attached()
        self.now = max(self.now, schedule["phases"][-1]["end_date"])
        schedule |= {"status": "completed", "completed_at": self.now, "current_phase": None}
        return self._over("completed")

    def _over(self, verb: str) -> SignedDelivery:
        """Tell the end of the schedule."""
        over, self._schedule = self._attached(), None
        self._subscription["schedule"] = None
        return self._event(f"subscription_schedule.{verb}", over)

    def _attached(self) -> Json:
        if self._schedule is None:
            raise ValueError("nothing is planned in this story; call schedule() first")
        return self._schedule

    def _running(self) -> tuple[tuple[int, int], list[tuple[str, int]]]:
        """Return the running period and what it consists of."""
        return self._period(), [(item["price"]["id"], item["quantity"]) for item in self._subscription["items"]["data"]]

    def _new_schedule(self) -> Json:
        """Make the schedule of the subscription as it is."""
        (start, end), items = self._running()
        made = schedule_object(
            self._payment_ids, deepcopy(self._subscription), phase_object(start, end, items), self.now
        )
        self._schedule, self._subscription["schedule"] = made, made["id"]
        return made
