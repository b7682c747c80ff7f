{#
Digest of the rules that build marts from raw: the models from staging to marts and the casts,
without comments and blanks. `ops.built_files` has the digest of the last build. If it differs, all
files count as changed and all rows are built again, in place. So after an upgrade, or a change of
the time zone, no rows of old rules remain beside those of new rules.
#}
{% macro rules() -%}
    {%- set parts = [
        as_id('x'), as_customer_id('x'), is_guest_code('x'), is_cancelled('x'), as_text('x'), as_number('x'), as_whole_number('x'),
        as_date('x'), as_shop_time('x'), as_order_time('x'), is_too_long('x'), is_absurd('x'), shop_date('x'),
        online_retail_keys(), sample_bucket('x'),
    ] -%}
    {%- if execute and graph.get('nodes') -%} {#- a unit test sees none -#}
        {#- their own text: rendered, they would ask whether the rules changed -#}
        {%- for shared in [
            raw_rows_of_build, content_key, with_unchanged_rows, with_next_row, fault_or_replaced,
            touched_items
        ] -%}
            {%- do parts.append(shared.macro.macro_sql) -%}
        {%- endfor -%}
        {%- for node in graph.nodes.values() | sort(attribute='unique_id')
            if node.resource_type == 'model' and node.schema in ('staging', 'intermediate', 'marts') -%}
            {%- do parts.append(node.raw_code) -%}
        {%- endfor -%}
    {%- endif -%}
    {%- set code = [] -%} {#- without comments and blanks -#}
    {%- for line in (parts | join('\n')).splitlines() -%}
        {%- do code.append(line.split('--')[0].split() | join) -%}
    {%- endfor -%}
    {{- return(local_md5(code | join)) -}}
{%- endmacro %}


{# True if the marts were built by other rules, or not at all. #}
{% macro are_rules_changed() -%}
    {%- if not execute or not graph.get('nodes') -%} {{ return(false) }} {%- endif -%}
    {%- set found = run_query(
        "select coalesce(bool_or(rules is distinct from '" ~ rules() ~ "'), true) from ops.built_files"
    ) -%}
    {{- return(found.columns[0][0]) -}}
{%- endmacro %}
