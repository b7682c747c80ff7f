{#
    The date that is built for. It comes by the environment and is read when a query runs: vars are part of what
    dbt parses, so a new date each day would have the whole project parsed anew each day.
#}
{% macro as_of_date() -%}
    date '{{ env_var("PERENNIAL_AS_OF_DATE") if execute else "-infinity" }}'
{%- endmacro %}

{# A test's `where` knows no macros: it says __as_of_date__. #}
{% macro get_where_subquery(relation) -%}
    {%- set where = config.get('where') -%}
    {%- if where -%}
    (select * from {{ relation }} where {{ where | replace('__as_of_date__', as_of_date()) }}) as dbt_subquery
    {%- else -%}
    {{ relation }}
    {%- endif -%}
{%- endmacro %}
