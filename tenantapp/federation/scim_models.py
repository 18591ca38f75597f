"""What a directory may say by SCIM, of people and groups (RFC 7643), and what is kept of it.

Attributes that are not declared here are taken and dropped: an address or a telephone number of somebody is of no use
here, so it is not stored.
"""

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

import orjson
from pydantic import Field
from scim2_models import (
    URN,
    AuthenticationScheme,
    Bulk,
    CaseExact,
    ChangePassword,
    ComplexAttribute,
    ETag,
    Filter,
    InvalidValueException,
    Meta,
    Mutability,
    Patch,
    Reference,
    Required,
    Resource,
    ScimPolicy,
    ScimProvider,
    ServiceProviderConfig,
    Sort,
    Uniqueness,
)

from tenantapp.characters import check_line
from tenantapp.federation.directory import PersonContent
from tenantapp.federation.models import ProvisionedGroup, ProvisionedPerson

MOST_FOUND: Final = 200  # resources in an answer
MOST_KEPT: Final = 8000  # characters of what is only given back, as JSON
KEPT: Final = ("name", "displayName", "emails", "active")


class Name(ComplexAttribute):
    """The parts of a person's name."""

    formatted: str | None = None
    family_name: str | None = None
    given_name: str | None = None


class Email(ComplexAttribute):
    """An address of a person. It is not used for mail: a directory can say anything."""

    value: str | None = None
    type: str | None = None
    primary: bool | None = None


class User(Resource[Any]):
    """A person of the directory."""

    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:User")

    user_name: Annotated[str | None, Uniqueness.server, Required.true] = None
    name: Name | None = None
    display_name: str | None = None
    active: bool | None = None
    emails: list[Email] | None = None


class GroupMember(ComplexAttribute):
    """A person who is in a group, by their ``id``."""

    value: Annotated[str | None, Mutability.immutable, CaseExact.true] = None
    ref: Annotated[Reference["User"] | None, Mutability.immutable] = Field(
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    display: Annotated[str | None, Mutability.read_only] = None


class Group(Resource[Any]):
    """A group of the directory. Nobody but people is in it."""

    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:Group")

    display_name: Annotated[str | None, Required.true] = None
    members: list[GroupMember] | None = None


def scim_provider() -> ScimProvider:
    """Return the description of the service."""
    config = ServiceProviderConfig(
        patch=Patch(supported=True),
        bulk=Bulk(supported=False, max_operations=0, max_payload_size=0),
        filter=Filter(supported=True, max_results=MOST_FOUND),
        change_password=ChangePassword(supported=False),
        sort=Sort(supported=False),
        etag=ETag(supported=True),
        authentication_schemes=[
            AuthenticationScheme(
                type=AuthenticationScheme.Type.oauthbearertoken,
                name="Bearer token",
                description="A token that an administrator of the tenant has made.",
                primary=True,
            )
        ],
    )
    # As Entra sends it: attributes that nobody declares, what to remove as a value, filters that describe a new entry.
    policy = ScimPolicy(
        unknown=ScimPolicy.Unknown.ignore,
        remove_value_as_filter=ScimPolicy.RemoveValue.apply,
        unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
    )
    return ScimProvider(models=[User, Group], config=config, policy=policy)


def user_of(person: ProvisionedPerson) -> User:
    """Return a person as the directory sees them."""
    told = {**person.document, "userName": person.user_name}
    user = User.model_validate({"schemas": [str(User.__schema__)], **told})
    user.id, user.external_id = str(person.id), person.external_id
    user.meta = _meta("User", person.created_at, person.changed_at, person.version)
    return user


def content_of(user: User) -> PersonContent:
    """Return what is taken over of a person. Raises ``InvalidValueException`` if it is too long, or is no text."""
    dumped = user.model_dump()
    document: dict[str, Any] = {name: dumped[name] for name in KEPT if name in dumped}
    _check_texts([user.user_name, user.external_id, document])
    if len(orjson.dumps(document)) > MOST_KEPT:
        raise InvalidValueException(detail=f"The names and addresses of a person have at most {MOST_KEPT} characters.")
    return PersonContent(
        user_name=user.user_name or "",
        external_id=user.external_id or None,
        name=_shown_name(user),
        active=user.active is not False,
        document=document,
    )


def group_of(group: ProvisionedGroup, members: list[UUID]) -> Group:
    """Return a group as the directory sees it."""
    shown = Group(
        id=str(group.id),
        external_id=group.external_id,
        display_name=group.display_name,
        meta=_meta("Group", group.created_at, group.changed_at, group.version),
    )
    # An empty list would be an attribute without a value.
    shown.members = [_member(person_id) for person_id in members] or None
    return shown


def member_ids(group: Group) -> set[UUID]:
    """Return who is in a group. Raises ``InvalidValueException`` for what is no id, or no text."""
    _check_texts([group.display_name, group.external_id])
    try:
        return {UUID(member.value or "") for member in group.members or ()}
    except ValueError:
        raise InvalidValueException(detail="A member has the id of a person as its value.") from None


def _check_texts(value: Any) -> None:
    if isinstance(value, str):
        try:
            check_line(value)
        except ValueError as error:
            raise InvalidValueException(detail=str(error)) from None
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            _check_texts(each)


def _member(person_id: UUID) -> GroupMember:
    return GroupMember(value=str(person_id), ref=Reference["User"](f"Users/{person_id}"))


def _shown_name(user: User) -> str:
    name = user.name or Name()
    whole = " ".join(part for part in (name.given_name, name.family_name) if part)
    return user.display_name or name.formatted or whole or user.user_name or ""


def _meta(kind: str, created: datetime, changed: datetime, version: int) -> Meta:
    return Meta(resource_type=kind, created=created, last_modified=changed, version=f'W/"{version}"')
