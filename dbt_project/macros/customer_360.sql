{#
    The score tables that reporting.customer_360 shows: those with `in_customer_360` in the meta of
    their contract, one row per customer. They are read from dbt's graph, so that a new question
    changes no other file. While dbt parses, there is no graph and the list is empty.
#}
{% macro questions_in_customer_360() -%}
    {%- set shown = [] -%}
    {%- if execute -%}
        {%- for source in graph.sources.values() | sort(attribute='name') if source.source_name == 'scores' -%}
            {%- set columns = source.config.meta.get('in_customer_360', []) -%}
            {%- if columns -%}
                {%- do shown.append({
                    'question': source.config.meta.question, 'table': source.name,
                    'columns': named_in_customer_360(columns, source.config.meta.question)
                }) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(shown) }}
{%- endmacro %}

{# Name in the view -> column: `[a, {b: c}]` gives `{a: a, c: b}`; with status and reason. #}
{% macro named_in_customer_360(columns, question) -%}
    {%- set named = {} -%}
    {%- for column in columns -%}
        {%- if column is mapping -%}
            {%- for old, new in column.items() -%}{%- do named.update({new: old}) -%}{%- endfor -%}
        {%- else -%}
            {%- do named.update({column: column}) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- for name in ['score_status', 'score_reason'] -%}
        {%- do named.update({question ~ '_' ~ name: name}) -%}
    {%- endfor -%}
    {{ return(named) }}
{%- endmacro %}

{#
    What the view selects: columns of its own, then the questions'. In a home that has the view its columns keep their
    places, see materialize_view.

    own: name -> expression of the columns that belong to no question.
#}
{% macro columns_of_customer_360(own) -%}
    {%- set wanted = own.copy() -%}
    {%- for one in questions_in_customer_360() -%}
        {%- for name, column in one.columns.items() -%}
            {%- do wanted.update({name: one.table ~ '.' ~ column}) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- for name, expression in wanted.items() %}
    {{ expression }} as {{ name }}{{ ',' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{# Names of the questions as SQL text, with an empty one, for there may be none while dbt parses. #}
{% macro quoted_names(questions) -%}
    '' {%- for one in questions %}, '{{ one.question }}' {%- endfor %}
{%- endmacro %}
