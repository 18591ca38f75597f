"""Nodes over HTTP."""

from rest_framework import serializers, viewsets
from rest_framework.pagination import CursorPagination

from workspace.models import Node


class NodePagination(CursorPagination):
    """By key; unlike the other paginations it does not count."""

    page_size = 50
    ordering = "id"


class NodeSerializer(serializers.ModelSerializer):
    """A node as it is answered."""

    class Meta:
        model = Node
        fields = ("id", "title", "body", "status", "version", "created_at", "updated_at")


class NodeViewSet(viewsets.ModelViewSet):
    """The usual calls."""

    queryset = Node.objects.all()
    serializer_class = NodeSerializer
    pagination_class = NodePagination
