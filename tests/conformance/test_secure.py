"""Python passes the vectors of secure aggregation, as they are written."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

from fedrela.conformance.files import read_json
from fedrela.core import signing, strict
from fedrela.core.errors import FedRelaError, IntegrityError, InvalidInput, InvalidMessage
from fedrela.core.privacy import Privacy
from fedrela.core.secure import (
    ciphers,
    clipping,
    field,
    fixed_point,
    fleet,
    masked_body,
    pads,
    sealing,
    shamir,
    statements,
    unmasking,
)
from fedrela.core.secure import group as groups
from fedrela.core.secure import member as members
from fedrela.core.secure.fixed_point import Block, Extras, Layout
from fedrela.core.secure.member import Secrets
from fedrela.core.secure.messages import (
    Agreements,
    Certificate,
    Inbox,
    MaskedProof,
    Roster,
    SecureAgreement,
    SecureKeys,
    SecureReveal,
    SecureShares,
    Survivors,
)
from fedrela.core.secure.roster import Terms
from fedrela.core.secure.sealing import Address, Shares
from fedrela.core.secure.statements import Work

PRIMITIVES, SHARING = read_json("secure/primitives.json"), read_json("secure/sharing.json")
FIXED_POINT, STATEMENTS = read_json("secure/fixed_point.json"), read_json("secure/statements.json")
CLIPPING, SESSION = read_json("secure/clipping.json"), read_json("secure/session.json")
WORK = Work(**SESSION["work"])
KINDS = {"share": Roster, "mask": Inbox, "agree": Survivors, "reveal": Agreements}


def raw(text):
    return bytes.fromhex(text)


def read(kind, values):
    return strict.build(kind, values, InvalidMessage)


def test_primitives():
    for case in PRIMITIVES["x25519"]:
        if case["secret"] is None:
            with pytest.raises(IntegrityError):
                ciphers.agree(raw(case["private_key"]), raw(case["public_key"]))
        else:
            assert ciphers.agree(raw(case["private_key"]), raw(case["public_key"])).hex() == case["secret"]
    for case in PRIMITIVES["agreement_keys"]:
        with nullcontext() if case["taken"] else pytest.raises(IntegrityError):
            ciphers.check_agreement_key(raw(case["key"]))
    for case in PRIMITIVES["hkdf"]:
        assert ciphers.derive_key(raw(case["secret"]), raw(case["info"])).hex() == case["key"]
    for case in PRIMITIVES["pads"]:
        words = np.zeros(len(case["words"]), np.uint32)
        pads.add(words, raw(case["key"]))
        assert words.tolist() == case["words"]
    case = PRIMITIVES["pair_key"]
    assert pads.pair_key(raw(case["mask_key"]), raw(case["public_key"]), raw(case["session"])).hex() == case["key"]
    case = PRIMITIVES["own_key"]
    assert pads.own_key(raw(case["own_seed"]), raw(case["session"])).hex() == case["key"]
    case = PRIMITIVES["box"]
    address = Address(raw(case["session"]), case["sender"], case["receiver"])
    shares = Shares(raw(case["own_seed_share"]), raw(case["mask_key_share"]))
    assert sealing.seal(raw(case["seal_key"]), raw(case["receiver_public_key"]), address, shares).hex() == case["box"]
    opened = sealing.unseal(raw(case["receiver_seal_key"]), raw(case["sender_public_key"]), address, raw(case["box"]))
    assert opened == shares


def test_sharing():
    for case in SHARING["products"]:
        assert field.multiply(np.uint8(case["left"]), np.uint8(case["right"])) == case["product"]
    for case in SHARING["split"]:
        shares = shamir.split(
            raw(case["secret"]),
            threshold=case["threshold"],
            members=len(case["shares"]),
            coefficients=raw(case["coefficients"]),
        )
        assert [share.hex() for share in shares] == case["shares"]
    for case in SHARING["combine"]:
        assert shamir.combine({one["index"]: raw(one["share"]) for one in case["shares"]}).hex() == case["secret"]
    for count, threshold in SHARING["thresholds"]:
        assert statements.threshold(count) == threshold


def layout_of(case):
    values = FIXED_POINT["layouts"][case["layout"]]
    return Layout(tuple(Block(**block) for block in values["blocks"]), values["classes"], values["largest_group"])


def extras_of(values):
    return Extras(**{**values, "histogram": tuple(values["histogram"])})


@pytest.mark.parametrize("case", FIXED_POINT["encode"], ids=lambda case: case["name"])
def test_fixed_point(case):
    blocks = [np.array(block, np.float32) for block in case["blocks"]]
    uniforms = np.array(case["uniforms"], np.float32)
    vector = fixed_point.encode(layout_of(case), blocks, extras_of(case["extras"]), uniforms)
    assert vector.tolist() == case["vector"]


@pytest.mark.parametrize("case", FIXED_POINT["decode"], ids=lambda case: case["name"])
def test_sums(case):
    words = np.array(case["words"], np.int32)
    if case["total"] is None:
        with pytest.raises(InvalidInput):
            fixed_point.decode(layout_of(case), words, members=case["members"])
        return
    total = fixed_point.decode(layout_of(case), words, members=case["members"])
    assert [block.tolist() for block in total.blocks] == case["total"]["blocks"]
    assert total.extras == extras_of(case["total"]["extras"])


@pytest.mark.parametrize("case", CLIPPING["norms"], ids=lambda case: case["name"])
def test_clipping_norms(case):
    privacy = Privacy(**case["privacy"])
    if case["norm"] is None:
        with pytest.raises(IntegrityError):
            clipping.norm(privacy, case["clip_millionths"])
    else:
        assert clipping.norm(privacy, case["clip_millionths"]) == case["norm"]


@pytest.mark.parametrize("case", CLIPPING["following"], ids=lambda case: case["name"])
def test_following_clipping_norms(case):
    counted = {"clipped": case["clipped"], "members": case["members"]}
    assert clipping.following(Privacy(**case["privacy"]), case["clip_millionths"], **counted) == case["then"]


def test_statements():
    for case in STATEMENTS["keys"]:
        keys = SecureKeys(**case["keys"])
        message = statements.keys(Work(**case["work"]), case["assignment_id"], keys.mask_key, keys.seal_key)
        assert message.hex() == case["message"]
        signing.verify(case["identity_key"], message, keys.signature)
    case = STATEMENTS["commitment"]
    assert statements.commitment(raw(case["session"]), raw(case["own_seed"])) == case["commitment"]
    assert statements.senders_sha256(STATEMENTS["senders"]["indices"]) == STATEMENTS["senders"]["sha256"]
    case = STATEMENTS["masked"]
    assert statements.masked(case["session"], case["senders_sha256"], case["words_sha256"]).hex() == case["message"]
    case = STATEMENTS["survivors"]
    message = statements.survivors(case["session"], case["survivors"], case["senders_sha256"])
    assert message.hex() == case["message"]


@pytest.mark.parametrize("case", STATEMENTS["certificates"], ids=lambda case: case["name"])
def test_certificates(case):
    certificate = Certificate(**case["certificate"]) if case["certificate"] else None
    arguments = certificate, case["identity_key"], case["population"], case["pinned"]
    if case["valid"]:
        fleet.check(*arguments)
    else:
        with pytest.raises(IntegrityError):
            fleet.check(*arguments)


def offered(values):
    """A member of the session, before it has met the others."""
    key = values["identity_private_key"]
    terms = Terms(values["assignment_id"], WORK, values["population"], signing.public_key(key))
    return members.offer(terms, Secrets(**{name: raw(value) for name, value in values["secrets"].items()}), key)


@pytest.mark.parametrize("values", SESSION["members"], ids=lambda values: f"member {values['index']}")
def test_each_member_of_a_session_says_what_the_vectors_say(values):
    member, roster = offered(values), read(Roster, SESSION["roster"])
    assert member.keys == roster.member(values["index"]).keys
    if values["shares"] is None:
        return
    member, shares = members.share(member, roster)
    assert shares == read(SecureShares, values["shares"])
    if values["inbox"] is None:
        return
    vector, key = np.array(values["vector"], np.int32), values["identity_private_key"]
    member, body, proof = members.mask(member, read(Inbox, values["inbox"]), vector, key)
    assert masked_body.from_bytes(body, len(vector))[0].tolist() == values["masked"]
    assert proof == read(MaskedProof, values["proof"])
    member, agreement = members.agree(member, read(Survivors, SESSION["told_survivors"]), key)
    assert agreement == read(SecureAgreement, values["agreement"])
    member, reveal = members.reveal(member, read(Agreements, SESSION["told_agreements"]))
    assert reveal == read(SecureReveal, values["reveal"])


def test_the_coordinator_s_sum():
    roster = read(Roster, SESSION["roster"])
    group = groups.begin(roster.members, WORK)
    assert (group.roster, group.session) == (roster, SESSION["session"])
    kinds = {"shares": SecureShares, "proof": MaskedProof, "agreement": SecureAgreement, "reveal": SecureReveal}
    said = {
        name: {one["index"]: read(kind, one[name]) for one in SESSION["members"] if one[name]}
        for name, kind in kinds.items()
    }
    for index, shares in said["shares"].items():
        group = groups.accept_shares(group, index, shares)
    group = groups.advance(group, timed_out=True)
    for proof in said["proof"].values():
        group = groups.accept_masked(group, proof)
    group = groups.advance(group, timed_out=True)
    for agreement in said["agreement"].values():
        group = groups.accept_agreement(group, agreement)
    group = groups.advance(group, timed_out=True)
    for index, reveal in said["reveal"].items():
        group = groups.accept_reveal(group, index, reveal)
    assert list(group.survivors) == SESSION["survivors"]
    words = [np.array(one["masked"], np.uint32) for one in SESSION["members"] if one["masked"]]
    assert unmasking.unmask(words, group, unmasking.open_secrets(group)).tolist() == SESSION["sum"]


@pytest.mark.parametrize("case", SESSION["refusals"], ids=lambda case: case["name"])
def test_a_member_refuses(case):
    values = SESSION["members"][SESSION["member"] - 1]
    key, vector = values["identity_private_key"], np.array(values["vector"], np.int32)
    taken = {
        "roster": read(Roster, SESSION["roster"]),
        "inbox": read(Inbox, values["inbox"]),
        "survivors": read(Survivors, SESSION["told_survivors"]),
    }
    history = dict(list(taken.items())[: list(KINDS).index(case["step"])])
    member, message = replace(offered(values), **history), case["message"]
    steps = {
        "share": lambda: members.share(member, read(Roster, message)),
        "mask": lambda: members.mask(member, read(Inbox, message), vector, key),
        "agree": lambda: members.agree(member, read(Survivors, message), key),
        "reveal": lambda: members.reveal(member, read(Agreements, message)),
    }
    with pytest.raises(FedRelaError):
        steps[case["step"]]()
