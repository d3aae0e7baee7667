#!/usr/bin/python3
"""junit.py FILE STATUS: prints "PASSED FAILED" of a JUnit report. A run that failed (STATUS) with no failed test is one failure more."""
import sys
import xml.etree.ElementTree as tree

passed = failed = 0
for case in tree.parse(sys.argv[1]).getroot().iter("testcase"):
    kinds = {child.tag for child in case}
    if kinds & {"failure", "error"} or case.get("status") == "fail":
        failed += 1
    elif "skipped" not in kinds and case.get("status") not in ("notrun", "disabled"):
        passed += 1
if sys.argv[2] != "0" and not failed:
    failed = 1
print(passed, failed)
