"""When assets rebuild by themselves, once the automation sensor is switched on in the UI.

Nothing that costs money is here: uploads and evaluations are launched by people or schedules.
"""

import dagster as dg

_checked = dg.AutomationCondition.all_deps_blocking_checks_passed()

when_inputs_change = dg.AutomationCondition.eager() & _checked
"""For free assets: missing, or an input is newer, and every blocking check of the inputs passed."""

when_labels_change = (
    dg.AutomationCondition.eager().ignore(dg.AssetSelection.assets("anonymized_bios")) & _checked
)
"""For haystacks: bios that are new have labels of their own, which come later."""

when_any_partition_arrives = (
    dg.AutomationCondition.any_deps_updated()
    & ~dg.AutomationCondition.any_deps_in_progress()
    & ~dg.AutomationCondition.in_progress()
)
"""For an asset over all partitions of another: `eager` would wait for the full matrix."""
