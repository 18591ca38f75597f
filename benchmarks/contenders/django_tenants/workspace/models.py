"""A tenant's data: in its schema."""

import uuid

from django.db import models


class Node(models.Model):
    """A piece of text."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    title = models.CharField(max_length=200)
    body = models.TextField()
    status = models.CharField(max_length=20)
    version = models.IntegerField(default=1)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
