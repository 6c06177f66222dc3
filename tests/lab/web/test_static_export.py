"""The file to share: whole, without an address to fetch, without what is nobody's business."""

import re
from html.parser import HTMLParser

import pytest

from onetrip.core.errors import ArgumentError, DataError
from onetrip.lab.store.database import connect
from onetrip.lab.web.static_export import campaign_page, write_campaign_page


@pytest.fixture
def lab(filled):
    connection = connect(filled(80))
    yield connection
    connection.close()


@pytest.fixture
def html(lab):
    return campaign_page(lab, campaign_id=1)


class Parts(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.anchors, self.links, self.fetched, self.inline = set(), set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if "id" in found:
            self.anchors.add(found["id"])
        if tag == "a" and "href" in found:
            self.links.add(found["href"])
        if "src" in found or tag in ("link", "iframe", "object", "img"):
            self.fetched.append((tag, found))
        if "style" in found or any(name.startswith("on") for name in found):
            self.inline.append((tag, found))


def test_nothing_is_fetched_and_every_link_has_its_end(html):
    parts = Parts(html)
    assert parts.fetched == []
    assert parts.inline == []
    assert parts.links
    dead = {link for link in parts.links if link[1:] not in parts.anchors}
    assert dead == set()
    assert "url(" not in html
    assert "@import" not in html


def test_on_a_phone_the_numbers_stand_below_the_title(html):
    row = re.search(r'<tr id="row-.*?</tr>', html, re.DOTALL)
    assert row is not None
    number_cells = re.findall(r'<td class="number([^"]*)">', row[0])
    assert number_cells[1:] == [" wide-only"] * 3
    assert "phone-only" in html


def test_the_file_has_the_rights_of_any_new_file(filled, tmp_path):
    other = tmp_path / "other"
    other.touch()
    page = write_campaign_page(filled(80), tmp_path / "page.html", campaign_id=1)
    assert page.stat().st_mode == other.stat().st_mode
    assert {path.name for path in tmp_path.glob("*page*")} == {"page.html"}


def test_the_campaign_is_all_there(html, lab):
    for title in ("Best so far", "Roofline", "Time against peak memory"):
        assert f"<title>{title}</title>" in html
    problem = lab.execute("SELECT problem_id FROM campaign WHERE id = 1").fetchone()[0]
    ids = [
        row[0]
        for row in lab.execute(
            "SELECT experiment.id FROM experiment JOIN candidate ON candidate.id = candidate_id"
            " WHERE problem_id = ?",
            (problem,),
        )
    ]
    assert sorted(map(int, re.findall(r'<tr id="row-(\d+)"', html))) == sorted(ids)
    for row in lab.execute("SELECT id FROM hypothesis WHERE problem_id = ?", (problem,)):
        assert f'id="hypothesis-{row["id"]}"' in html


def test_the_one_script_is_the_one_that_the_policy_names(html):
    import base64
    import hashlib

    policy = re.search(r"script-src '([^']+)'", html)
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert policy is not None
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert policy[1] == f"sha256-{digest}"
    assert "default-src 'none'" in html


def test_text_of_proposers_stays_text(lab):
    evil = "</style></script><script>alert(1)</script>"
    lab.execute("UPDATE candidate SET title = title || ?", (evil,))
    lab.execute("UPDATE experiment SET why = ?, reason = ?", (evil, evil))
    lab.execute("UPDATE campaign SET title = ?", (evil,))
    html = campaign_page(lab, campaign_id=1)
    assert html.count("<script>") == 1
    assert "<script>alert" not in html
    assert html.count("</style>") == 1


def test_hosts_folders_and_secrets_stay_at_home(lab):
    lab.execute(
        "UPDATE campaign SET environment = ?",
        ('{"torch": "2.13.0", "host": "secret-host", "checkout": "/home/me"}',),
    )
    html = campaign_page(lab, campaign_id=1)
    assert "2.13.0" in html
    assert "secret-host" not in html
    assert "/home/me" not in html


def test_it_is_written_in_one_step(lab, database, tmp_path):
    target = tmp_path / "out" / "campaign.html"
    assert write_campaign_page(database, target, campaign_id=1) == target
    assert target.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert [path.name for path in target.parent.iterdir()] == ["campaign.html"]


def test_what_is_not_there_is_said(lab, tmp_path):
    with pytest.raises(ArgumentError, match="campaign_id"):
        campaign_page(lab, campaign_id=999)
    with pytest.raises(ArgumentError, match="problem_id"):
        campaign_page(lab, problem_id=999)
    empty = connect(tmp_path / "empty.sqlite")
    with pytest.raises(DataError, match="no campaign yet"):
        campaign_page(empty)
    empty.close()


def test_a_problem_without_a_campaign_can_be_shared(lab):
    assert "The campaign" not in campaign_page(lab, problem_id=2)
