import json

import pytest

from app.specs.shared_object import SharedObject


def test_it_reads_like_the_object_that_it_was_made_of() -> None:
    members = {"sub": "alice", "amr": ["pwd"], "act": {"sub": "printer"}, "exp": 7, "none": None}
    shared = SharedObject(members)
    assert shared == members
    assert members == shared
    assert dict(shared) == members
    assert (list(shared), len(shared), "amr" in shared, "x" in shared) == (list(members), 5, True, False)
    assert (shared.get("x"), shared["none"], repr(shared)) == (None, None, repr(members))
    assert json.loads(json.dumps(dict(shared))) == members
    with pytest.raises(KeyError):
        shared["x"]


def test_no_reader_changes_it_for_another() -> None:
    shared = SharedObject({"amr": ["pwd"], "act": {"sub": "printer", "roles": []}})
    shared["amr"].append("otp")
    shared["act"]["roles"].append("admin")
    dict(shared)["act"]["sub"] = "mallory"
    for value in shared.values():
        value.clear()
    assert shared == {"amr": ["pwd"], "act": {"sub": "printer", "roles": []}}
    with pytest.raises(TypeError):
        shared["amr"] = []  # type: ignore[index]
    with pytest.raises(AttributeError):
        shared.amr = []  # type: ignore[attr-defined]
