# SPDX-License-Identifier: MIT
"""A sample of the cuts of tests/campaign cuts: at any message, in every way a wire has, of real servers and fakes."""

import random

from cuts import WAYS_OF_A_WIRE, Campaign, n_messages, points_of, real_trio, trio


def test_two_hundred_cuts_of_a_census_and_of_a_drop(clusters):
    seed = random.SystemRandom().randrange(1 << 32)
    points = []
    for kind, way_in in (("fake", trio()), ("real", real_trio(clusters, 99))):
        with way_in as three:
            for drop in (False, True):
                points += points_of(kind, n_messages(three, drop), drop, WAYS_OF_A_WIRE)
    assert len(points) > 2500
    campaign = Campaign(random.Random(seed).sample(points, 200), clusters, 6).run()
    assert not campaign.failed, f"seed {seed}: {len(campaign.failed)} failed, first {campaign.failed[0]}"
    assert campaign.done == 200 and campaign.acted > 150, (seed, campaign.acted)
