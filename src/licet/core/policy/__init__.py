"""The condition language: a typed subset of CEL over context, customer, user and standing, compiled to closures."""

from licet.core.policy.absence import lacking
from licet.core.policy.condition import Condition, Facts, Verdict, compile_condition
from licet.core.policy.errors import ConditionError
from licet.core.policy.parser import MAX_DEPTH, MAX_LIST, MAX_NODES, MAX_SOURCE
from licet.core.policy.solver import Change, solve
from licet.core.policy.types import (
    ATTRIBUTE,
    ATTRIBUTES,
    BOOL,
    INT,
    STANDARD_ENVIRONMENT,
    STRING,
    STRINGS,
    AttributeType,
    BoolType,
    Environment,
    IntType,
    ListType,
    MapType,
    RecordType,
    StringType,
    Type,
)

__all__ = [
    "ATTRIBUTE",
    "ATTRIBUTES",
    "BOOL",
    "INT",
    "MAX_DEPTH",
    "MAX_LIST",
    "MAX_NODES",
    "MAX_SOURCE",
    "STANDARD_ENVIRONMENT",
    "STRING",
    "STRINGS",
    "AttributeType",
    "BoolType",
    "Change",
    "Condition",
    "ConditionError",
    "Environment",
    "Facts",
    "IntType",
    "ListType",
    "MapType",
    "RecordType",
    "StringType",
    "Type",
    "Verdict",
    "compile_condition",
    "lacking",
    "solve",
]
