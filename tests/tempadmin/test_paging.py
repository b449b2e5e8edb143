"""Lists that go on by the key of a row: nothing is shown twice or left out, whoever comes and goes."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, insert, or_, select, update

from instances.models import VirtualInstance
from tempadmin.db import db, transaction
from tempadmin.web.paging import PAGE_SIZE, Page, Pages
from tests.world import World

SIZES = (0, 1, 24, 25, 26, 49, 50, 51, 76)
START = "/instances?q=what+was+typed"
CUSTOMERS = select(VirtualInstance).where(VirtualInstance.virtual_hostname.is_not(None))


def put(world: World, count: int) -> None:
    """Customers of five names in turn, so that each name has many; their numbers follow their ids."""
    rows = [
        {"web_id": f"w{number:03}", "virtual_hostname": f"{99 - number}.example", "name": "ABØåb"[number % 5]}
        for number in range(count)
    ]
    with transaction() as session:
        session.execute(insert(VirtualInstance), [{**row, "created_at": world.clock.now()} for row in rows])


def lists(size: int, *, descending: bool) -> list[Pages[VirtualInstance]]:
    """The first so many customers by name, by host, and by nothing but their id."""
    query = CUSTOMERS.where(VirtualInstance.web_id < f"w{size:03}")
    orders = ((VirtualInstance.name, VirtualInstance.id), (VirtualInstance.virtual_hostname, VirtualInstance.id))
    return [Pages(query, *order, descending=descending) for order in (*orders, (VirtualInstance.id,))]


def opened(world: World, pages: Pages[VirtualInstance], address: str) -> tuple[list[int], Page]:
    db.session.rollback()
    with world.app.test_request_context(address):
        rows, page = pages.fetch()
        return [int(row.web_id[1:]) for row in rows], page


def walked(world: World, pages: Pages[VirtualInstance], address: str | None, way: str) -> list[list[int]]:
    """All pages from an address on, one way."""
    found = []
    while address is not None:
        numbers, page = opened(world, pages, address)
        found.append(numbers)
        address = getattr(page, way)
    return found


def last_of(world: World, pages: Pages[VirtualInstance]) -> str:
    address = START
    while (later := opened(world, pages, address)[1].next_url) is not None:
        address = later
    return address


def at_once(pages: Pages[VirtualInstance], size: int) -> list[int]:
    """As the database itself puts them."""
    columns = [column.desc() if pages.descending else column.asc() for column in pages.order]
    found = db.session.scalars(CUSTOMERS.where(VirtualInstance.web_id < f"w{size:03}").order_by(*columns))
    return [int(row.web_id[1:]) for row in found]


@pytest.mark.parametrize("order", ["ascending", "descending"])
def test_every_row_is_shown_exactly_once_forwards_and_backwards(world: World, order: str) -> None:
    """Of lists of any length, with ties, in either direction: the same full pages both ways, the last one shorter."""
    put(world, max(SIZES))
    for size in SIZES:
        for pages in lists(size, descending=order == "descending"):
            forwards = walked(world, pages, START, "next_url")
            assert [one for page in forwards for one in page] == at_once(pages, size)
            assert [len(page) for page in forwards[:-1]] == [PAGE_SIZE] * (len(forwards) - 1)
            assert walked(world, pages, last_of(world, pages), "previous_url") == forwards[::-1]


def test_who_stays_is_shown_once_while_others_come_and_go(world: World) -> None:
    """Between two pages the row at their border goes, one before it too, and one comes: an offset would err."""
    put(world, 60)
    pages = Pages(CUSTOMERS, VirtualInstance.web_id, VirtualInstance.id)
    first, page = opened(world, pages, START)
    with transaction() as session:
        session.execute(delete(VirtualInstance).where(VirtualInstance.web_id.in_(["w003", "w024", "w025"])))
        session.execute(update(VirtualInstance).where(VirtualInstance.web_id == "w059").values(web_id="a000"))
    rest = [one for numbers in walked(world, pages, page.next_url, "next_url") for one in numbers]
    assert first + rest == [*range(25), *range(26, 59)]


def test_a_page_whose_neighbours_have_gone_still_leads_somewhere(world: World) -> None:
    """Previous leads to a full first page, Next to the end of what is left, and an emptied list is empty."""
    put(world, 80)
    pages = Pages(CUSTOMERS, VirtualInstance.id)
    second = opened(world, pages, START)[1].next_url
    third = opened(world, pages, str(second))[1]
    gone = or_(VirtualInstance.web_id < "w020", VirtualInstance.web_id >= "w050")
    with transaction() as session:
        session.execute(delete(VirtualInstance).where(gone, VirtualInstance.virtual_hostname.is_not(None)))
    numbers, page = opened(world, pages, str(third.next_url))
    assert (numbers, page.next_url) == (list(range(25, 50)), None)
    numbers, page = opened(world, pages, str(page.previous_url))
    assert (numbers, page.previous_url) == (list(range(20, 45)), None)
    with transaction() as session:
        session.execute(delete(VirtualInstance).where(VirtualInstance.virtual_hostname.is_not(None)))
    assert opened(world, pages, str(third.next_url)) == ([], Page(shown=0, previous_url=None, next_url=None))


@pytest.mark.parametrize(
    "place",
    ["page=2", "page=x", "after=", "after=x", "before=%00", "after=é", "after=%ED%A0%80", "after=AAAA&before=BBBB"],
)
@pytest.mark.only_sqlite
def test_what_cannot_be_read_is_the_first_page(world: World, place: str) -> None:
    """Old bookmarks, junk and guesses; the links go on from there and keep the rest of the address."""
    put(world, 30)
    pages = Pages(CUSTOMERS, VirtualInstance.id)
    numbers, page = opened(world, pages, f"{START}&{place}")
    assert numbers == list(range(25))
    assert page.next_url is not None
    assert page.next_url.startswith(f"{START}&after=")
    assert opened(world, pages, page.next_url)[0] == [25, 26, 27, 28, 29]


@pytest.mark.only_sqlite
def test_the_links_of_a_list_stay_on_its_own_page_whatever_the_address_says(world: World) -> None:
    """What Flask's ``url_for`` takes for itself, and what the address of a view holds, are words like any other."""
    put(world, 30)
    pages = Pages(CUSTOMERS, VirtualInstance.id)
    odd = "_external=1&_scheme=javascript&_anchor=x&_method=TRACE&endpoint=y&next=//evil.example"
    _, page = opened(world, pages, f"/instances?{odd}")
    assert str(page.next_url).startswith("/instances?_external=1&_scheme=javascript&")
    assert opened(world, pages, str(page.next_url))[0] == [25, 26, 27, 28, 29]


@pytest.mark.only_sqlite
def test_a_key_opens_nothing_when_altered_or_in_another_list_or_order(world: World) -> None:
    """It is sealed for its list: names are not read from addresses, and no other list compares with them."""
    put(world, 30)
    by_name, by_host, by_id = lists(30, descending=False)
    key = str(opened(world, by_name, START)[1].next_url)
    assert len(opened(world, by_name, key)[0]) == 5
    sealed = range(key.index("after=") + 6, len(key.partition("%")[0]) - 1)
    altered = [key[:at] + ("A" if key[at] != "A" else "B") + key[at + 1 :] for at in sealed]
    tries = [(by_name, one) for one in (*altered, key.replace("/instances", "/audit"))]
    tries += [(pages, key) for pages in (by_host, by_id, lists(30, descending=True)[0])]
    for pages, address in tries:
        numbers, page = opened(world, pages, address)
        assert (len(numbers), page.previous_url) == (25, None), address
