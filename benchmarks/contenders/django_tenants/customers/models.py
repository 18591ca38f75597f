"""Tenants, their domains, and who belongs to them: in the public schema."""

from django.conf import settings
from django.db import models
from django_tenants.models import DomainMixin, TenantMixin


class Client(TenantMixin):
    """A customer, with a schema of its own."""

    name = models.CharField(max_length=200)
    auto_create_schema = True


class Domain(DomainMixin):
    """The host name a tenant is served under."""


class Membership(models.Model):
    """A person has a role in a tenant."""

    client = models.ForeignKey(Client, on_delete=models.CASCADE)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    role = models.CharField(max_length=20)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["client", "user"], name="one_membership")]
