{#
    The score tables that a view with one row per entity shows: those with `in_<view>` in the meta of
    their contract, `in_customer_360` or `in_product_outlook`. They are read from dbt's graph, so that
    a new question changes no other file. While dbt parses, there is no graph and the list is empty.
#}
{% macro tables_shown_in(view) -%}
    {%- set shown = [] -%}
    {%- if execute -%}
        {%- for source in graph.sources.values() | sort(attribute='name') if source.source_name == 'scores' -%}
            {%- set columns = source.config.meta.get('in_' ~ view, []) -%}
            {%- if columns -%}
                {%- do shown.append({
                    'question': source.config.meta.question, 'table': source.name,
                    'columns': names_in_view(columns, source.config.meta.question)
                }) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(shown) }}
{%- endmacro %}

{# Name in the view -> column: `[a, {b: c}]` gives `{a: a, c: b}`; with status and reason. #}
{% macro names_in_view(columns, question) -%}
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
{% macro columns_shown_in(view, own) -%}
    {%- set wanted = own.copy() -%}
    {%- for one in tables_shown_in(view) -%}
        {%- for name, column in one.columns.items() -%}
            {%- do wanted.update({name: one.table ~ '.' ~ column}) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- for name, expression in wanted.items() %}
    {{ expression }} as {{ name }}{{ ',' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{#
    CTEs `in_force`, `newest_date` and one per shown table: its rows of the newest date that every
    question of the view has published. A question that is not offered at this shop, or was never
    published, is not waited for.

    more: further questions that are waited for and have a CTE; each has one table, of its own name.
#}
{% macro rows_shown_in(view, more=[]) -%}
    {%- set shown = tables_shown_in(view) -%}
    {%- for question in more -%}
        {%- do shown.append({'question': question, 'table': question}) -%}
    {%- endfor -%}
in_force as (

    select
        publications.question,
        publications.as_of_date,
        publications.publication_id

    from {{ source('ops', 'publications') }} as publications
    inner join {{ source('ops', 'offers') }} as offers using (question)
    where
        offers.is_offered
        and publications.question in ({{ quoted_names(shown) }})

),

newest_date as (

    select dates.as_of_date
    from in_force as dates
    group by dates.as_of_date
    having count(*) = (select count(distinct every.question) from in_force as every)
    order by dates.as_of_date desc
    limit 1

),
{%- for one in shown %}

{{ one.table }} as (

    select *
    from {{ source('scores', one.table) }}
    where (as_of_date, publication_id) = (
        select
            published.as_of_date,
            published.publication_id

        from in_force as published
        inner join newest_date using (as_of_date)
        where published.question = '{{ one.question }}'
    )

),
{%- endfor %}
{%- endmacro %}

{# Names of the questions as SQL text, with an empty one, for there may be none while dbt parses. #}
{% macro quoted_names(questions) -%}
    '' {%- for one in questions %}, '{{ one.question }}' {%- endfor %}
{%- endmacro %}
