"""Who is who: owners, accounts with invented names, and the people in hospitals by title."""

from __future__ import annotations

from functools import partial

from connector.sandbox import events
from connector.sandbox.business.company import Account, Company, Contact, Owner

OWNERS = (
    # key, name, territory, job, pace of work
    ("own-01", "Dana Whitfield", "East", "rep", 1.3),
    ("own-02", "Marcus Oyelaran", "East", "rep", 1.0),
    ("own-03", "Priya Raman", "East", "rep", 0.8),
    ("own-04", "Tom Kessler", "West", "rep", 1.1),
    ("own-05", "Alicia Montoya", "West", "rep", 0.6),
    ("own-06", "Grant Sobol", "West", "rep", 1.0),
    ("own-07", "Helen Zhou", "Central", "rep", 1.2),
    ("own-08", "Ray Dubois", "Central", "rep", 0.7),
    ("own-09", "Nina Falk", "EMEA", "rep", 1.0),
    ("own-10", "Jonas Reuter", "EMEA", "rep", 0.9),
    ("own-11", "Carla Menendez", None, "renewals", 0.8),
    ("own-12", "Beth Okafor", None, "clinical", 1.0),
    ("own-13", "Integration User", None, "robot", 1.0),
    ("own-14", "Sean Abernathy", "Central", "rep", 1.0),
)
LATE_JOINER = "own-14"
LEAVERS = ("own-03", "own-06")

_FACILITIES = (("clinic", 20), ("asc", 20), ("hospital", 28), ("university_hospital", 14), ("idn", 8))
"""How many accounts of each kind: 90 in all."""

_PLACES = (
    "Lakeshore", "Cedar Ridge", "Harborview", "Stonebrook", "Maple Grove", "Fairhaven", "Northgate", "Riverbend", "Summit", "Willow Creek",
    "Bayfront", "Oak Hollow", "Pinecrest", "Silver Lake", "Granite Falls", "Meadowlands", "Eastfield", "Clearwater Bay", "Highland Park",
    "Brookside", "Canyon View", "Prairie", "Juniper", "Tidewater", "Redwood", "Blue Mesa", "Cold Spring", "Foxborough", "Glenmoor", "Ironwood",
)  # fmt: skip
_EU_PLACES = ("Altenau", "Brückstadt", "Castelverde", "Dunmore", "Elsbroek", "Fontclair", "Grünwalden", "Hammarvik", "Lindholm", "Montserin",
              "Nordhafen", "Ostervik", "Rosenthal", "Saint-Amand", "Valderia")  # fmt: skip
_KINDS = {
    "clinic": ("Orthopaedic Clinic", "Spine Clinic", "Surgical Associates"),
    "asc": ("Surgery Center", "Ambulatory Surgery Center", "Day Surgery"),
    "hospital": ("General Hospital", "Medical Center", "Community Hospital", "Regional Hospital"),
    "university_hospital": ("University Hospital", "University Medical Center"),
    "idn": ("Health System", "Health Network", "Integrated Health"),
}

_TITLES: dict[str, tuple[tuple[str, str], ...]] = {
    "clinic": (("Orthopaedic Surgeon", "surgeon"), ("Practice Manager", "economic_buyer"), ("Spine Surgeon", "surgeon"), ("Surgical Nurse", "none")),
    "asc": (
        ("Orthopedic Surgeon", "surgeon"), ("Administrator, Surgery Center", "executive_sponsor"), ("Nursing Director", "champion"),
        ("Controller", "economic_buyer"), ("Materials Management Lead", "none"),
    ),
    "hospital": (
        ("Chief of Orthopaedic Surgery", "surgeon"), ("Spine Surgeon", "surgeon"), ("OR Director", "champion"),
        ("Chief Financial Officer", "economic_buyer"),
        ("Value Analysis Manager", "vac_chair"), ("Director of Supply Chain", "none"), ("Chief Information Officer", "it_security"),
        ("Chief Nursing Officer", "executive_sponsor"), ("Sterile Processing Director", "blocker"),
    ),
    "university_hospital": (
        ("Professor of Neurosurgery, Chief of Surgery", "surgeon"), ("CMIO", "champion"), ("CFO", "economic_buyer"), ("CISO", "it_security"),
        ("VAC Chair", "vac_chair"), ("Procurement Manager", "none"), ("Chief Medical Officer", "executive_sponsor"), ("General Counsel", "none"),
        ("Privacy Officer", "blocker"), ("Director of Nursing", "none"),
    ),
    "idn": (
        ("Chief of Surgery", "surgeon"), ("Chief Medical Information Officer", "champion"), ("VP Finance", "economic_buyer"),
        ("Chief Information Security Officer", "it_security"), ("Director, Value Analysis", "vac_chair"), ("VP Supply Chain", "none"),
        ("Chief Executive Officer", "executive_sponsor"), ("Applications Director", "it_security"), ("Compliance Officer", "blocker"),
    ),
}  # fmt: skip
_STRAY_TITLES = (("Director", "none"), ("Consultant", "none"), ("Cardiac Surgeon", "surgeon"), ("Reimbursement Specialist", "none"),
                 ("Sourcing Specialist", "none"), ("Surgical Technician", "none"))  # fmt: skip


def hire(co: Company) -> None:
    """Everybody joins on the first morning, save the late joiner."""
    for row in OWNERS:
        if row[0] != LATE_JOINER:
            join(co, row[0])


def join(co: Company, key: str) -> None:
    """One owner of :data:`OWNERS` joins."""
    _, name, territory, job, pace = next(row for row in OWNERS if row[0] == key)
    co.owners[key] = Owner(key, name, territory, job, pace)
    co.tell(events.OwnerJoined(co.stamp(), key, name, robot=job == "robot"))


def prospects(co: Company) -> list[Account]:
    """The 90 accounts that the company will meet, in the order it meets them. Nothing is told yet."""
    facilities = [facility for facility, number in _FACILITIES for _ in range(number)]
    co.rng.shuffle(facilities)
    territories = ["East", "West", "Central", "EMEA", "East", "West", "Central", "East"]
    taken: set[str] = set()
    accounts = []
    for n, facility in enumerate(facilities, 1):
        territory = territories[n % len(territories)]
        name = _name(co, facility, territory)
        while name in taken:
            name = _name(co, facility, territory)
        taken.add(name)
        accounts.append(Account(f"acc-{n:03}", name, facility, territory, "EU" if territory == "EMEA" else "US"))
    return accounts


def meet(co: Company, account: Account) -> None:
    """An account is entered with its first people; more follow in the months after."""
    co.accounts[account.key] = account
    co.tell(events.AccountFound(co.stamp(), account.key, account.name, account.facility, account.territory, account.region))
    titles = list(_TITLES[account.facility])
    first = max(2, round(len(titles) * 0.5))
    for title, function in titles[:first]:
        _find(co, account, title, function)
    for title, function in [*titles[first:], *co.rng.sample(_STRAY_TITLES, co.rng.choice((0, 0, 1, 1, 2)))]:
        co.later(co.span(4, 150), partial(_find_later, co, account.key, title, function))


def duplicate_of(co: Company, account: Account) -> Account:
    """The same house entered again under a slightly different name."""
    key = f"{account.key}-b"
    name = account.name.replace("Center", "Ctr").replace("Hospital", "Hosp.") + " (new)"
    again = Account(key, name, account.facility, account.territory, account.region)
    co.accounts[key] = again
    co.tell(events.AccountFound(co.stamp(), key, again.name, again.facility, again.territory, again.region))
    _find(co, again, *_TITLES[account.facility][0])
    return again


def _find_later(co: Company, account: str, title: str, function: str) -> None:
    home = co.accounts[account]
    if home.merged_into is None:
        _find(co, home, title, function)


def _find(co: Company, account: Account, title: str, function: str) -> None:
    contact = Contact(f"con-{len(co.contacts) + 1:04}", account.key, title, function, kol=function == "surgeon" and co.chance(0.2))
    co.contacts[contact.key] = contact
    account.contacts.append(contact.key)
    co.tell(events.ContactFound(co.stamp(), contact.key, account.key, title, contact.kol))


def _name(co: Company, facility: str, territory: str) -> str:
    place = co.rng.choice(_EU_PLACES if territory == "EMEA" else _PLACES)
    return f"{place} {co.rng.choice(_KINDS[facility])}"
