"""The models of the bundled domain."""

from tenantapp.workspace.models import Author as Author
from tenantapp.workspace.models import Node as Node
from tenantapp.workspace.models import Tag as Tag
