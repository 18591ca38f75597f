"""What do the tests of a domain, and our own, stand on?

``plugin`` is the pytest plugin: an installation on both engines, clients, recorded statements. ``resource_checks`` has
the checks of a declared resource, which a builder's tests run over HTTP. ``Documented`` compares answers with the
document of the API. Only tests use this room. Only ``plugin`` imports pytest.
"""

from tenantapp.testing.documented import Documented as Documented
from tenantapp.testing.documented import NotDocumented as NotDocumented
from tenantapp.testing.resource_checks import Cast as Cast
from tenantapp.testing.resource_checks import Check as Check
from tenantapp.testing.resource_checks import CheckFailed as CheckFailed
from tenantapp.testing.resource_checks import resource_checks as resource_checks
