"""The dashboard in Chromium: log in, invite a phone, watch it finish; no accessibility fault."""

import json
from dataclasses import replace

from tests.web.browser import Tab
from tests.web.phone import TASK
from tests.web.place import KEY


def serious(tab):
    """Accessibility faults that count."""
    return [fault for fault in tab.do("axe") if fault["impact"] in ("serious", "critical")]


def test_an_operator_invites_a_phone_and_watches_it_finish(place, recorder, browser):
    task_id = place.publish(replace(TASK, population="phones"))
    operator = Tab(browser, "operator")
    operator.do("open", url=place.url + "/")
    assert not serious(operator)
    operator.do("fill", selector="#admin_key", value=KEY)
    operator.do("click", selector="button.main")
    operator.do("wait", selector="#live table")
    operator.do("fill", selector="input[name=population]", value="phones")
    assert not serious(operator)
    operator.do("click", selector="form[action='/dashboard/tokens'] button")
    operator.do("wait", selector="img.code")
    assert not serious(operator)
    link = operator.do("text", selector="main a[href*='/join#']")
    operator.do("open", url=f"{place.url}/dashboard/tasks/{task_id}")
    phone = Tab(browser, "invited")
    phone.join(link)
    phone.use_demo(0)
    phone.start()
    operator.do(
        "waitFor", code="() => /finished/.test(document.querySelector('#live .state').textContent)", timeout=300000
    )
    assert not serious(operator)
    assert operator.do("eval", code="() => document.scrollingElement.scrollWidth") <= 360
    shown = operator.do("text", selector="#live")
    for item in place.admin.get(f"/tasks/{task_id}/rounds"):
        assert str(item["update_bytes"]) in shown
    images = (
        "() => [...document.querySelectorAll('#live img')].map((image) => image.complete && image.naturalWidth > 0)"
    )
    operator.do("waitFor", code=images.replace(".map(", ".every("))
    assert operator.do("errors") == []
    secret = link.split("#")[1]
    for item in recorder.seen:
        assert secret not in item.url
        assert secret not in json.dumps({**item.headers, "Authorization": ""})
