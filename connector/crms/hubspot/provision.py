"""HubSpot's side of provisioning: what is there, what would be made, the making, which HubSpot does in pieces and never as a whole.

What is there is read first, so that a second run makes only what the first one did not get to. Nothing is ever deleted, no type is ever changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from connector.clock import Clock
from connector.crms.base import Meter
from connector.crms.hubspot import definitions, schema
from connector.crms.hubspot.definitions import GROUP, GROUP_LABEL, Chosen
from connector.crms.hubspot.faults import names_in
from connector.crms.hubspot.settings import HubSpotSettings
from connector.crms.hubspot.transport import Transport
from connector.crms.hubspot.wire import OBJECTS
from connector.crms.provisioning import FieldSpec, Identity, ObjectSpec, Observed, Piece, ProvisionResult, Refusal, Wanted
from connector.errors import ConnectorError, CrmConfigError, MissingScope

SLICE = 100
RIGHTS = "make a service key with crm.schemas.deals.write for this one command (and the same of companies and contacts, if mapped), then revoke it"
CHECKED = "names, quotas and the token's rights checked; HubSpot looks at formulas only when it makes them"
EXISTS = frozenset({"OBJECT_ALREADY_EXISTS", "CONFLICT"})
Raws = Mapping[str, Mapping[str, Any]]


@dataclass
class _Tally:
    """What became of each thing: made or in place, or refused."""

    done: int = 0
    refusals: list[Refusal] = field(default_factory=list)


class HubSpotProvisioner:
    """Provisioning of one portal. ``token``: a key for this one command; None: the connection's own, which may only look."""

    by_hand = "let an administrator put the group KPI Scorecard on the deal record, or upload the card (provision export --target hubspot)"

    def __init__(self, settings: HubSpotSettings, clock: Clock, token: str | None = None) -> None:
        self.meter = Meter()
        used = settings
        if token is not None:
            used = replace(settings, token=token, client_id=None, client_secret=None, refresh_token=None, refresh_tokens=None)
        self._transport = Transport(used, clock, self.meter)
        self._version = settings.api_version

    def whoami(self) -> Identity:
        """A key belongs to the portal and not to a person."""
        found = schema.account(self._transport)
        return Identity(found.user_id, f"portal {found.org_id}", found.org_id, found.name, not found.sandbox)

    # -- looking -----------------------------------------------------------------------------------------------------

    def fitting(self, wanted: Wanted) -> Wanted:
        """Calculated properties beyond the portal's quota are left out, the last ones first; those that are there stay."""
        told = self._limits("calculated-properties")
        if told is None:
            return wanted
        most, used = int(told.get("overallLimit") or 0), int(told.get("overallUsage") or 0)
        left, out, objects = most - used, dict(wanted.left_out), []
        why = f"the portal's {most} calculated properties are all in use" if most else "the portal's plan has no calculated properties"
        for spec in wanted.objects:
            held: Raws = self._properties(spec.name) if any(f.formula is not None for f in spec.fields) else {}
            kept = []
            for wish in spec.fields:
                if wish.formula is not None and wish.name not in held:
                    left -= 1
                    if left < 0:
                        out[wish.key] = why
                        continue
                kept.append(wish)
            objects.append(replace(spec, fields=tuple(kept)))
        return replace(wanted, objects=tuple(objects), left_out=out)

    def observe(self, wanted: Wanted) -> dict[str, Observed]:
        return {spec.name: self._observed(spec) for spec in wanted.objects}

    def _observed(self, spec: ObjectSpec) -> Observed:
        raws, known = self._properties(spec.name), spec.by_name
        fields = {name: definitions.seen(raw, known.get(name)) for name, raw in raws.items()}
        return Observed(True, fields, frozenset(raws), quota=self._room(spec.name))

    def pieces(self, wanted: Wanted, user_id: str) -> Sequence[Piece]:
        """The group of properties on each object."""
        return [
            Piece("property group", f"{spec.name}.{GROUP}", "ok" if GROUP in self._groups(spec.name) else "create")
            for spec in wanted.objects
            if spec.fields
        ]

    def _properties(self, object_: str, *, archived: bool = False) -> Raws:
        query = [("archived", "true")] if archived else []
        return {str(raw["name"]): raw for raw in self._transport.get(self._path(object_), query).body["results"]}

    def _groups(self, object_: str) -> frozenset[str]:
        return frozenset(str(raw["name"]) for raw in self._transport.get(f"{self._path(object_)}/groups").body["results"])

    def _path(self, object_: str) -> str:
        return f"/crm/properties/{self._version}/{object_}"

    def _limits(self, what: str) -> Mapping[str, Any] | None:
        """A limits endpoint; None where the portal or the key does not show it."""
        try:
            reply = self._transport.get(f"/crm/limits/{self._version}/{what}", accept=(400, 404))
        except (MissingScope, CrmConfigError):
            return None
        return reply.body if reply.status == 200 else None

    def _room(self, object_: str) -> int | None:
        """Custom properties that one object type may still have."""
        type_id = OBJECTS[object_][1] if object_ in OBJECTS else object_
        told = self._limits("custom-properties")
        for row in (told or {}).get("byObjectType") or ():
            if row.get("objectTypeId") == type_id and row.get("limit") is not None:
                return int(row["limit"]) - int(row.get("usage") or 0)
        return None

    # -- checking ----------------------------------------------------------------------------------------------------

    def provision(self, wanted: Wanted, *, check_only: bool) -> ProvisionResult:
        """Raises MissingScope where the token may not make properties. What HubSpot refuses on the way is told by name; the rest is made."""
        total = sum(len(spec.fields) + 1 for spec in wanted.objects if spec.fields)
        tally = _Tally()
        try:
            for spec in wanted.objects:
                if not spec.fields:
                    continue
                raws = self._properties(spec.name)
                if check_only:
                    self._may_make(spec.name)
                    tally.refusals += self._problems(spec, raws)
                    tally.done += len(spec.fields) + 1
                else:
                    self._bring(spec, raws, tally)
        except MissingScope as error:
            raise MissingScope(f"the token may not make properties ({error.message})", next_step=RIGHTS) from None
        ok = not tally.refusals
        if check_only:
            return ProvisionResult(ok, "checked" if ok else "not possible", total if ok else 0, total, tuple(tally.refusals), said=CHECKED)
        return ProvisionResult(ok, "made" if ok else "made in part", tally.done, total, tuple(tally.refusals))

    def _may_make(self, object_: str) -> None:
        """A batch of nothing: the key is refused before the body is looked at, and nothing is made. Raises MissingScope."""
        self._transport.post(f"{self._path(object_)}/batch/create", {"inputs": []}, accept=(400,), writing=True)

    def _problems(self, spec: ObjectSpec, raws: Raws) -> Iterator[Refusal]:
        missing = [wish for wish in spec.fields if wish.name not in raws]
        archived = self._properties(spec.name, archived=True) if missing else {}
        for wish in missing:
            if not definitions.NAME.fullmatch(wish.name):
                yield _refused(spec, wish, "not a name", "small letters, digits and underscores only", "name it otherwise in the mapping")
            elif wish.name in archived:
                yield _archived(spec, wish)
        room = self._room(spec.name) if missing else None
        if room is not None and room < len(missing):
            yield Refusal(
                spec.name, "object", f"{room} more custom properties allowed", f"{len(missing)} are needed",
                "switch fields off in the mapping, or use mode two_fields",
            )  # fmt: skip

    # -- doing -------------------------------------------------------------------------------------------------------

    def _bring(self, spec: ObjectSpec, raws: Raws, tally: _Tally) -> None:
        if GROUP not in self._groups(spec.name):
            asked = {"name": GROUP, "label": GROUP_LABEL, "displayOrder": -1}
            self._transport.post(f"{self._path(spec.name)}/groups", asked, accept=(409,), writing=True)
        tally.done += 1
        # Formulas read written properties: those must be there first, in a call of their own.
        for wishes in ([w for w in spec.fields if w.written], [w for w in spec.fields if not w.written]):
            missing = [wish for wish in wishes if wish.name not in raws]
            for start in range(0, len(missing), SLICE):
                self._create(spec, missing[start : start + SLICE], tally)
        for wish in spec.fields:
            if wish.name in raws:
                self._amend(spec, wish, raws[wish.name], tally)

    def _create(self, spec: ObjectSpec, wishes: Sequence[FieldSpec], tally: _Tally) -> None:
        """One batch; refused as a whole, it is split until the one that HubSpot refuses stands alone."""
        asked = {"inputs": [definitions.body(wish) for wish in wishes]}
        try:
            reply = self._transport.post(f"{self._path(spec.name)}/batch/create", asked, writing=True)
        except (CrmConfigError, MissingScope) as error:
            if len(wishes) == 1:
                if isinstance(error, MissingScope) and wishes[0].written:
                    raise
                tally.refusals.append(_said(spec, wishes[0], error))
                return
            half = len(wishes) // 2
            self._create(spec, wishes[:half], tally)
            self._create(spec, wishes[half:], tally)
            return
        made = {str(raw["name"]) for raw in reply.body.get("results") or ()}
        tally.done += len(made)
        lost = [wish for wish in wishes if wish.name not in made]
        if lost:
            self._explain(spec, lost, reply.body.get("errors") or (), tally)

    def _explain(self, spec: ObjectSpec, lost: Sequence[FieldSpec], errors: Sequence[Mapping[str, Any]], tally: _Tally) -> None:
        """Those of a batch that were not made: there already (our own call, sent twice; somebody else's), archived, or refused."""
        now = self._properties(spec.name)
        archived = self._properties(spec.name, archived=True)
        for wish in lost:
            told = next((error for error in errors if wish.name in str(error.get("context")) or f"'{wish.name}'" in str(error.get("message"))), {})
            found = definitions.seen(now[wish.name], wish) if wish.name in now else None
            if found is not None and (found.type, found.calculated) == (wish.type, not wish.written):
                tally.done += 1
            elif found is not None:
                tally.refusals.append(_refused(spec, wish, f"is a {found.type}", "another property has the name", "name it otherwise in the mapping"))
            elif wish.name in archived or EXISTS & set(names_in(told)):
                tally.refusals.append(_archived(spec, wish))
            else:
                problem = str(told.get("message") or "not among the results")
                tally.refusals.append(_refused(spec, wish, problem, "HubSpot refuses the property", "see what it says"))

    def _amend(self, spec: ObjectSpec, wish: FieldSpec, raw: Mapping[str, Any], tally: _Tally) -> None:
        """Label, description, options, formula and the way a number is shown; nothing else is ever changed."""
        found = definitions.seen(raw, wish)
        if (found.type, found.calculated) != (wish.type, not wish.written):
            tally.refusals.append(_refused(spec, wish, f"is a {found.type}", "another property has the name", "name it otherwise in the mapping"))
            return
        changes: dict[str, Any] = {}
        if raw.get("label") != wish.label:
            changes["label"] = wish.label
        if (raw.get("description") or "") != wish.help:
            changes["description"] = wish.help
        if found.formula != wish.formula:
            changes["calculationFormula"] = wish.formula
        changes |= {key: value for key, value in definitions.display(wish).items() if raw.get(key) != value}
        if wish.options and (options := self._options(spec, wish, raw)) is not None:
            changes["options"] = definitions.options_body(options)
        try:
            if changes:
                self._transport.call("PATCH", f"{self._path(spec.name)}/{wish.name}", body=changes, writing=True)
            tally.done += 1
        except CrmConfigError as error:
            tally.refusals.append(_said(spec, wish, error))

    def _options(self, spec: ObjectSpec, wish: FieldSpec, raw: Mapping[str, Any]) -> tuple[Chosen, ...] | None:
        """The options as they should be, None where they are. One that is wanted no more is hidden while a record holds it, else it goes."""
        wanted, held = definitions.chosen(wish), definitions.held_options(raw)
        values = {option.value for option in wanted}
        spare = [option for option in held if option.value not in values]
        kept = [replace(option, hidden=True) for option in spare if option.hidden or self._holds(spec.name, wish.name, option.value)]
        target = (*wanted, *kept)
        return None if target == held else target

    def _holds(self, object_: str, name: str, value: str) -> bool:
        """Whether some record has the value. Who may not look must take it that one has."""
        asked = {
            "filterGroups": [{"filters": [{"propertyName": name, "operator": "EQ", "value": value}]}],
            "limit": 1,
            "properties": ["hs_object_id"],
        }
        try:
            reply = self._transport.post(f"/crm/objects/{self._version}/{object_}/search", asked)
        except (MissingScope, CrmConfigError):
            return True
        return int(reply.body.get("total") or 0) > 0

    def admit(self, user_id: str) -> bool:
        """Nothing to do: whoever may write deals may write their properties."""
        return False

    def close(self) -> None:
        self._transport.close()


def _refused(spec: ObjectSpec, wish: FieldSpec, problem: str, reason: str, step: str) -> Refusal:
    return Refusal(f"{spec.name}.{wish.name}", "property", problem, reason, step)


def _archived(spec: ObjectSpec, wish: FieldSpec) -> Refusal:
    return _refused(
        spec, wish, "archived", "a property of that name was archived, and HubSpot keeps the name",
        "restore it in HubSpot (Settings, Properties, Archived), or name it otherwise in the mapping",
    )  # fmt: skip


def _said(spec: ObjectSpec, wish: FieldSpec, error: ConnectorError) -> Refusal:
    reason = "HubSpot refuses the property" if wish.written else "HubSpot refuses the formula"
    return _refused(spec, wish, error.message, reason, "correct what the mapping names, or switch the field off")
