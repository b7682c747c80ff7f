{#
Digest of the rules that make marts out of raw: the models from staging to marts and the casts, without comments and blanks. The
last build's stands in `ops.built_files`; where it is another, all files count as changed and all rows are made anew, in place.
So a home that goes on with newer code, or another time zone, shows no rows of the old rules beside those of the new.
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


{# Whether the marts were built by other rules than these, or were not built yet. #}
{% macro are_rules_changed() -%}
    {%- if not execute or not graph.get('nodes') -%} {{ return(false) }} {%- endif -%}
    {%- set found = run_query(
        "select coalesce(bool_or(rules is distinct from '" ~ rules() ~ "'), true) from ops.built_files"
    ) -%}
    {{- return(found.columns[0][0]) -}}
{%- endmacro %}
