"""Which elements a metadata type has: a file with another element, or without a needed one, is refused before anything else is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from connector.sandbox.salesforce.metadata.xml import NAMESPACE, Node

TRUTH = frozenset({"true", "false"})


class ShapeProblem(Exception):
    """``line``: of the element that is wrong."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.message, self.line, self.column = message, line, column


@dataclass(frozen=True, slots=True)
class Shape:
    """``elements``: the plain ones, with ``!`` after those that are needed; ``flags``: true or false; ``numbers``: whole numbers;
    ``lists``: may be repeated; ``parts``: element → the shape of what is in it (also of those in ``lists``); ``free``: may be repeated,
    and what is in them is looked at elsewhere or not at all."""

    name: str
    elements: str = ""
    flags: str = ""
    numbers: str = ""
    lists: str = ""
    free: str = ""
    parts: Mapping[str, Shape] = field(default_factory=dict)

    @property
    def needed(self) -> list[str]:
        words = f"{self.elements} {self.flags} {self.numbers} {self.lists}".split()
        return [word[:-1] for word in words if word.endswith("!")]

    def names(self) -> set[str]:
        return {word.rstrip("!") for word in f"{self.elements} {self.flags} {self.numbers} {self.lists} {self.free}".split()} | set(self.parts)


def check(node: Node, shape: Shape) -> None:
    """Raises ShapeProblem in the words of the Metadata API."""
    known, lists, last = shape.names(), {word.rstrip("!") for word in f"{shape.lists} {shape.free}".split()}, ""
    seen: set[str] = set()
    for child in node.children:
        tag = child.tag
        if tag not in known:
            raise _at(child, f"Error parsing file: Element {{{NAMESPACE}}}{tag} invalid at this location in type {shape.name}")
        if tag in seen and (tag not in lists or tag != last):
            raise _at(child, f"Error parsing file: Element {tag} is duplicated at this location in type {shape.name}")
        seen.add(tag)
        last = tag
        _check_value(child, shape)
    for tag in shape.needed:
        if tag not in seen or (node.get(tag) == "" and tag not in lists and tag not in shape.parts):
            raise _at(node, f"Required field is missing: {tag}")


def _check_value(child: Node, shape: Shape) -> None:
    tag, below = child.tag, shape.parts.get(child.tag)
    if below is not None:
        check(child, below)
    if below is not None or tag in shape.free.split():
        return
    if child.children:
        inner = child.children[0]
        raise _at(inner, f"Error parsing file: Element {{{NAMESPACE}}}{inner.tag} invalid at this location in type {tag}")
    if tag in {word.rstrip("!") for word in shape.flags.split()} and child.text not in TRUTH:
        raise _at(child, f"Error parsing file: '{child.text}' is not a valid value for the type xsd:boolean")
    if tag in {word.rstrip("!") for word in shape.numbers.split()} and not child.text.isdigit():
        raise _at(child, f"Error parsing file: '{child.text}' is not a valid value for the type xsd:int")


def _at(node: Node, message: str) -> ShapeProblem:
    return ShapeProblem(message, node.line, node.column)


VALUE = Shape("CustomValue", "fullName! label color description", "default isActive")
FIELD = Shape(
    "CustomField",
    "fullName! label description inlineHelpText type defaultValue formula formulaTreatBlanksAs referenceTo relationshipName relationshipLabel "
    "deleteConstraint displayFormat securityClassification complianceGroup businessStatus",
    "required unique externalId caseSensitive trackHistory trackFeedHistory trackTrending reparentableMasterDetail writeRequiresMasterRead",
    "length precision scale visibleLines startingNumber relationshipOrder",
    parts={
        "valueSet": Shape(
            "ValueSet", "controllingField valueSetName", "restricted",
            parts={"valueSetDefinition": Shape("ValueSetValuesDefinition", "", "sorted!", lists="value", parts={"value": VALUE})},
        )
    },
)  # fmt: skip
FILTER = Shape("ListViewFilter", "field! operation! value")
SHARED = Shape("SharedTo", "allInternalUsers allPartnerUsers", lists="group role roleAndSubordinates roleAndSubordinatesInternal")
LIST_VIEW = Shape(
    "ListView", "fullName! label! filterScope! language booleanFilter queue", lists="columns filters",
    parts={"filters": FILTER, "sharedTo": SHARED},
)  # fmt: skip
COMPACT_LAYOUT = Shape("CompactLayout", "fullName! label!", lists="fields")
RULE = Shape("ValidationRule", "fullName! description errorConditionFormula! errorDisplayField errorMessage!", "active!")
NAME_FIELD = Shape("CustomField", "label type! displayFormat", "trackHistory", "startingNumber")
OBJECT = Shape(
    "CustomObject",
    "fullName label pluralLabel description deploymentStatus sharingModel externalSharingModel visibility gender startsWith compactLayoutAssignment",
    "allowInChatterGroups enableActivities enableBulkApi enableFeeds enableHistory enableLicensing enableReports enableSearch enableSharing "
    "enableStreamingApi",
    free="fields listViews compactLayouts validationRules",
    parts={
        "nameField": NAME_FIELD,
        "searchLayouts": Shape("SearchLayouts", lists="customTabListAdditionalFields searchResultsAdditionalFields"),
    },
)  # fmt: skip
CUSTOM_PERMISSION = Shape("CustomPermission", "label! description connectedApp", "isLicensed")
PERMISSION_SET = Shape(
    "PermissionSet", "label! description license", "hasActivationRequired",
    lists="fieldPermissions objectPermissions userPermissions customPermissions recordTypeVisibilities tabSettings",
    parts={
        "fieldPermissions": Shape("PermissionSetFieldPermissions", "field!", "editable! readable"),
        "objectPermissions": Shape(
            "PermissionSetObjectPermissions", "object!",
            "allowCreate! allowDelete! allowEdit! allowRead! modifyAllRecords! viewAllRecords! viewAllFields",
        ),
        "userPermissions": Shape("PermissionSetUserPermission", "name!", "enabled!"),
        "customPermissions": Shape("PermissionSetCustomPermissions", "name!", "enabled!"),
        "recordTypeVisibilities": Shape("PermissionSetRecordTypeVisibility", "recordType!", "visible! default"),
        "tabSettings": Shape("PermissionSetTabSetting", "tab! visibility!"),
    },
)  # fmt: skip
REPORT_TYPE = Shape(
    "ReportType", "label! description baseObject! category!", "deployed! autogenerated", free="join",
    lists="sections",
    parts={
        "sections": Shape(
            "ReportLayoutSection", "masterLabel!", lists="columns",
            parts={"columns": Shape("ReportTypeColumn", "field! table! displayNameOverride", "checkedByDefault!")},
        )
    },
)  # fmt: skip
GROUPING = Shape("ReportGrouping", "field! dateGranularity sortOrder aggregateType sortByName sortType")
REPORT = Shape(
    "Report", "name! description reportType! format! scope sortColumn sortOrder currency roleHierarchyFilter division",
    "showDetails showGrandTotal showSubTotals", "rowLimit", lists="columns groupingsDown groupingsAcross params",
    free="aggregates buckets chart colorRanges formattingRules reportCustomDetailFormula",
    parts={
        "columns": Shape("ReportColumn", "field!", "reverseColors showChanges", lists="aggregateTypes"),
        "groupingsDown": GROUPING, "groupingsAcross": GROUPING, "params": Shape("ReportParam", "name! value!"),
        "timeFrameFilter": Shape("ReportTimeFrameFilter", "dateColumn! interval! startDate endDate"),
        "filter": Shape(
            "ReportFilter", "booleanFilter language", lists="criteriaItems",
            parts={"criteriaItems": Shape("ReportFilterItem", "column! operator! value snapshot", "columnToColumn isUnlocked")},
        ),
    },
)  # fmt: skip
FOLDER = Shape(
    "Folder", "name! accessType publicFolderAccess", lists="folderShares", free="sharedTo",
    parts={"folderShares": Shape("FolderShare", "accessLevel! sharedTo! sharedToType!")},
)  # fmt: skip
DASHBOARD = Shape(
    "Dashboard",
    "title! description dashboardType runningUser backgroundEndColor! backgroundFadeDirection! backgroundStartColor! textColor! titleColor! "
    "chartTheme colorPalette dashboardChartTheme dashboardColorPalette",
    "isGridLayout", "titleSize!", free="leftSection middleSection rightSection dashboardGridLayout dashboardFilters",
)  # fmt: skip
BUNDLE = Shape(
    "LightningComponentBundle", "apiVersion! masterLabel description runtimeNamespace", "isExposed!", free="targetConfigs capabilities",
    parts={"targets": Shape("Targets", lists="target")},
)  # fmt: skip
