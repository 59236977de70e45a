"""What must hold before this model goes to the devices."""

import pytest

EXPORT = ("my_model:build", "--input", "uint8:1x8x8", "--classes", "10", "--mean", "0.305", "--std", "0.376")


@pytest.mark.scenario("fleet.toml")
def test_the_model_learns_on_a_long_tailed_fleet(fedrela_fleet, fedrela_export_bundle):
    run = fedrela_fleet(bundle=fedrela_export_bundle(*EXPORT))
    run.assert_learned(points=40)
    run.assert_accuracy(overall=0.5, many=0.7)
    run.assert_no_failures()


@pytest.mark.scenario("fleet.toml")
def test_the_same_fleet_gives_the_same_weights(fedrela_fleet, fedrela_export_bundle):
    bundle = fedrela_export_bundle(*EXPORT)
    assert fedrela_fleet(bundle=bundle).final_sha256 == fedrela_fleet(bundle=bundle).final_sha256
