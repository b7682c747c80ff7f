{#
Ends a CTE, so that Postgres computes its values once per row, in all workers of the query. Without
it, Postgres would inline the CTE and compute a value again wherever it is used, above a sort in a
single process.
#}
{% macro made_once() -%}
    offset 0
{%- endmacro %}
