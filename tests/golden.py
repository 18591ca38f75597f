"""Golden databases are of the kit."""

from tenantapp.testing.golden import PREFIX as PREFIX
from tenantapp.testing.golden import golden_on as golden_on
from tenantapp.testing.golden import lend_templates as lend_templates
from tenantapp.testing.golden import make_user_database as make_user_database
