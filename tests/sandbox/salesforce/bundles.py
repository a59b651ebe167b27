"""Zips of metadata, made of what a test wants in them."""

import io
import json
import zipfile

NS = 'xmlns="http://soap.sforce.com/2006/04/metadata"'
INVALID = "Error parsing file: Element {{http://soap.sforce.com/2006/04/metadata}}{} invalid at this location in type {}"
DUPLICATED = "Error parsing file: Element {} is duplicated at this location in type {}"
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'


def custom_field(name, kind="Text", *, label="Something", extra="", **tags):
    """``<fields>`` of an object's file."""
    defaults = {
        "Text": {"length": 40}, "Number": {"precision": 18, "scale": 0}, "Percent": {"precision": 3, "scale": 0},
        "Currency": {"precision": 18, "scale": 2}, "Checkbox": {} if "formula" in tags else {"defaultValue": "false"},
    }  # fmt: skip
    if kind == "Text" and "formula" in tags:
        defaults["Text"] = {}
    held = {"label": label, "type": kind, **defaults.get(kind, {}), **tags}
    inner = "".join(f"<{tag}>{_escaped(value)}</{tag}>" for tag, value in held.items() if value is not None)
    return f"<fields><fullName>{name}</fullName>{inner}{extra}</fields>"


def picklist(name, *values, restricted="false"):
    held = "".join(f"<value><fullName>{v}</fullName><default>false</default><label>{v}</label></value>" for v in values)
    definition = f"<valueSetDefinition><sorted>false</sorted>{held}</valueSetDefinition>"
    return custom_field(name, "Picklist", extra=f"<valueSet><restricted>{restricted}</restricted>{definition}</valueSet>")


def formula(name, kind, text, **tags):
    return custom_field(name, kind, formula=text, formulaTreatBlanksAs="BlankAsBlank", **tags)


def custom_object(*parts):
    return f"{HEAD}<CustomObject {NS}>{''.join(parts)}</CustomObject>"


def permission_set(label, *, read=(), edit=(), objects="", permissions=(), custom=(), more=""):
    """The file of a permission set. ``read`` and ``edit``: ``Object.Field``."""
    fields = "".join(
        f"<fieldPermissions><editable>{'true' if f in edit else 'false'}</editable><field>{f}</field><readable>true</readable></fieldPermissions>"
        for f in dict.fromkeys((*read, *edit))
    )
    own = "".join(f"<customPermissions><enabled>true</enabled><name>{name}</name></customPermissions>" for name in custom)
    users = "".join(f"<userPermissions><enabled>true</enabled><name>{name}</name></userPermissions>" for name in permissions)
    return (
        f"{HEAD}<PermissionSet {NS}>{own}{fields}<hasActivationRequired>false</hasActivationRequired><label>{label}</label>"
        f"{objects}{users}{more}</PermissionSet>"
    )  # fmt: skip


def object_rights(name, rights="Read Edit"):
    flags = "".join(f"<allow{r}>{'true' if r in rights.split() else 'false'}</allow{r}>" for r in ("Create", "Delete", "Edit", "Read"))
    return f"<objectPermissions>{flags}<modifyAllRecords>false</modifyAllRecords><object>{name}</object><viewAllRecords>false</viewAllRecords></objectPermissions>"  # noqa: E501


def manifest(members, version="68.0"):
    """package.xml of type → names."""
    types = "".join(
        f"<types>{''.join(f'<members>{name}</members>' for name in names)}<name>{kind}</name></types>" for kind, names in members.items()
    )  # fmt: skip
    return f"{HEAD}<Package {NS}>{types}<version>{version}</version></Package>"


def zipped(files):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return held.getvalue()


def opportunity(*fields, members=None, files=None):
    """A zip with these fields of Opportunity, named in package.xml, and whatever other files and members."""
    names = [f"Opportunity.{part.split('<fullName>')[1].split('<')[0]}" for part in fields]
    own = {"CustomField": names, **(members or {})}
    return zipped({"package.xml": manifest(own), "objects/Opportunity.object": custom_object(*fields), **(files or {})})


def send(client, content, **options):
    """POST the zip; the raw answer."""
    held = {"deployOptions": {"singlePackage": True, "rollbackOnError": True, "checkOnly": False, **options}}
    files = {"json": (None, json.dumps(held), "application/json"), "file": ("deploy.zip", content, "application/zip")}
    return client.call("POST", "metadata/deployRequest", files=files)


def deploy(client, content, **options):
    """Deploy and poll to the end; the deployResult with its details."""
    answer = send(client, content, **options)
    assert answer.status_code == 201, answer.text
    for _ in range(10):
        result = client.get(f"metadata/deployRequest/{answer.json()['id']}", params={"includeDetails": "true"}).json()["deployResult"]
        if result["done"]:
            return result
    raise AssertionError("the deployment does not end")


def problems(result):
    """Full name → problem of what failed."""
    return {row["fullName"]: row["problem"] for row in result["details"]["componentFailures"]}


def of(admin, content, **options):
    """The one failure of a deployment."""
    result = deploy(admin, content, **options)
    rows = result["details"]["componentFailures"]
    assert (result["status"], len(rows)) == ("Failed", 1), rows
    return rows[0]


def wrap(kind, inner):
    return f"{HEAD}<{kind} {NS}>{inner}</{kind}>"


def _escaped(value):
    return str(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
