"""What the coordinator tells a member to do next is read as the vectors say."""

from fedrela.conformance.files import read_json
from fedrela.core import strict
from fedrela.core.errors import InvalidMessage
from fedrela.core.secure.messages import SecureStep


def test_steps_are_read_as_the_vectors_say():
    for case in read_json("secure/messages.json")["cases"]:
        try:
            strict.from_json(SecureStep, case["body"].encode())
        except InvalidMessage:
            assert not case["valid"], case["name"]
        else:
            assert case["valid"], case["name"]
