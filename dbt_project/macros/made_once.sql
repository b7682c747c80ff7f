{#
Ends a CTE that makes values: each is made once a row, by all workers of the query. Postgres would merge the CTE into
what reads it and make a value again wherever it is used, above a sort in one process alone.
#}
{% macro made_once() -%}
    offset 0
{%- endmacro %}
