# SPDX-License-Identifier: MIT
"""The short forms of the campaigns that need the whole daemon."""

import subprocess

import pytest

from harness import PYTHON, ROOT


@pytest.mark.parametrize("name, n", [("kill9", 300), ("clients", 500)])
def test_campaign(name, n):
    campaign = subprocess.run([PYTHON, "-B", ROOT / "tests" / "campaigns" / name, str(n)], text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900)
    print(campaign.stdout)
    assert campaign.returncode == 0, campaign.stdout
