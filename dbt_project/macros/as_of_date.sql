{#
    The date of the build, read from the environment when a query runs. A dbt var would be part of
    the parsed project, so that dbt would parse everything again for each new date.
#}
{% macro as_of_date() -%}
    date '{{ env_var("PERENNIAL_AS_OF_DATE") if execute else "-infinity" }}'
{%- endmacro %}

{# A test's `where` cannot call macros: __as_of_date__ in it is replaced by the date. #}
{% macro get_where_subquery(relation) -%}
    {%- set where = config.get('where') -%}
    {%- if where -%}
    (select * from {{ relation }} where {{ where | replace('__as_of_date__', as_of_date()) }}) as dbt_subquery
    {%- else -%}
    {{ relation }}
    {%- endif -%}
{%- endmacro %}
